//! Where there are no signals, there are numbers, so that options can be made of them.

/// What one would ask a program with.
pub(crate) const DEFAULT: i32 = 10;

pub(crate) fn number(name: &str) -> Option<i32> {
    name.trim().parse().ok().filter(|number| *number > 0)
}

pub(crate) fn name(number: i32) -> String {
    format!("signal {number}")
}

/// The signals that threads of the program leave to others.
#[derive(Clone, Copy)]
pub(crate) struct Left;

impl Left {
    pub(crate) fn by_the_program() -> Option<Self> {
        None
    }

    pub(crate) fn remember(this: Option<Self>) {
        let _: Option<Self> = this;
    }
}

pub(crate) fn as_the_program<R>(run: impl FnOnce() -> R) -> R {
    run()
}

pub(crate) fn left_to_others<R>(run: impl FnOnce() -> R) -> R {
    run()
}
