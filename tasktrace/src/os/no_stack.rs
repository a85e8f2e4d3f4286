//! Replaces the measurement of the stack on systems that do not report its bounds.

pub(crate) fn room() -> Option<usize> {
    None
}
