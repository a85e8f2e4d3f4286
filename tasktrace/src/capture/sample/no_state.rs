//! Replaces the address of the state of a thread on systems where a thread reads its own state, or none is sampled.

/// The address of the state of a thread, which no other thread needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct StateAddress(());

impl StateAddress {
    pub(crate) fn set(&self, _: *const ()) {}

    pub(crate) fn clear(&self) {}
}
