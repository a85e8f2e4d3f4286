//! Where there are no signals, there are numbers, so that options can be made of them.

/// What one would ask a program with.
pub(crate) const DEFAULT: i32 = 10;

pub(crate) fn number(name: &str) -> Option<i32> {
    name.trim().parse().ok().filter(|number| *number > 0)
}

pub(crate) fn name(number: i32) -> String {
    format!("signal {number}")
}

pub(crate) fn left_to_others<R>(run: impl FnOnce() -> R) -> R {
    run()
}
