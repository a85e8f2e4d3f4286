//! A test that does not end: plain data.

use std::time::Duration;

use super::Dump;
use crate::task::TaskId;

/// What is known of a test that does not end.
#[derive(Debug)]
pub(crate) struct Hang {
    /// The path of its function.
    pub(crate) name: String,
    pub(crate) file: &'static str,
    pub(crate) line: u32,
    /// For how long it had been running.
    pub(crate) after: Duration,
    /// What made somebody ask.
    pub(crate) why: Why,
    /// What it was doing.
    pub(crate) stage: Stage,
    /// The number of the thread that its function was called on.
    pub(crate) thread: u64,
    /// Its tasks.
    pub(crate) dump: Dump,
    /// How many tasks there are that may be those of this test, or of others that run at the same
    /// time.
    pub(crate) unknown: usize,
}

/// What made somebody ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Its time was over.
    Timeout,
    /// A signal came: its name.
    Signal(String),
}

/// How far a test has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its body has not been polled yet.
    Beginning,
    /// Its body is this task.
    Body(TaskId),
    /// Its body has ended, and what remains is to shut down its runtime.
    End,
    /// It has ended, too late, while its tasks were looked at.
    Late,
}
