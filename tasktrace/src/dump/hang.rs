//! Describes a test that does not end, as plain data.

use std::time::Duration;

use super::Dump;
use crate::task::TaskId;

/// A test that does not end.
#[derive(Debug)]
pub(crate) struct Hang {
    /// The path of the test's function.
    pub(crate) name: String,
    pub(crate) file: &'static str,
    pub(crate) line: u32,
    /// The time that the test had been running.
    pub(crate) after: Duration,
    /// The reason why the test was examined.
    pub(crate) trigger: HangTrigger,
    /// How far the test had come.
    pub(crate) stage: TestStage,
    /// The number of the thread that called the test's function.
    pub(crate) thread: u64,
    /// The tasks of the test.
    pub(crate) dump: Dump,
    /// The number of tasks that may belong to this test, or to other tests that run at the same time.
    pub(crate) unknown: usize,
}

/// The reason why a test was examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HangTrigger {
    /// The test exceeded its time limit.
    Timeout,
    /// The process received the signal with this name.
    Signal(String),
}

/// How far a test has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TestStage {
    /// The body has not been polled yet.
    Beginning,
    /// The body is running, as this task.
    Body(TaskId),
    /// The body has ended, and the runtime is being shut down.
    End,
    /// The test ended after its limit, while its tasks were being examined.
    Late,
}
