//! Replaces the signals on systems without them: parses numbers, so that options can be built.

/// The default signal of a dump.
pub(crate) const DEFAULT: i32 = 10;

pub(crate) fn number(name: &str) -> Option<i32> {
    name.trim().parse().ok().filter(|number| *number > 0)
}

pub(crate) fn name(number: i32) -> String {
    format!("signal {number}")
}

/// The signal mask of a thread of the program, which is empty.
#[derive(Clone, Copy)]
pub(crate) struct ProgramMask;

impl ProgramMask {
    pub(crate) fn current() -> Option<Self> {
        None
    }

    pub(crate) fn set(this: Option<Self>) {
        let _: Option<Self> = this;
    }
}

pub(crate) fn with_program_mask<R>(run: impl FnOnce() -> R) -> R {
    run()
}

pub(crate) fn with_signals_blocked<R>(run: impl FnOnce() -> R) -> R {
    run()
}
