//! Defines the errors of requests for traces.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::oneshot::CaptureError;
use crate::capture::NoSample;

/// The reason why [`TraceHandle::backtrace_timeout`](crate::TraceHandle::backtrace_timeout) returns no trace.
///
/// ```
/// use std::time::Duration;
/// use tasktrace::TraceError;
///
/// let (future, handle) = tasktrace::traced(async {});
/// let error = handle.backtrace_timeout(Duration::ZERO).unwrap_err();
/// assert_eq!(error, TraceError::NeverPolled);
///
/// drop(future);
/// let error = handle.backtrace_timeout(Duration::ZERO).unwrap_err();
/// assert_eq!(error, TraceError::Finished);
/// assert_eq!(error.to_string(), "the task has finished or was cancelled");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceError {
    /// The future has resolved, or was dropped.
    Finished,
    /// A poll of the future panicked during the request.
    Panicked,
    /// The future has never been polled, and was not polled within the timeout either.
    NeverPolled,
    /// The task did not answer within the timeout: see `reason`.
    NoAnswer {
        /// The time for which the caller waited for the task.
        waited: Duration,
        /// The reason why the task did not answer.
        reason: NoAnswer,
    },
    /// The task is in the middle of a poll, and the stack of its thread could not be captured.
    NoSample(NoSample),
    /// The executor of the task demands its own wakers, as embassy's does, so its tasks cannot be captured. Only
    /// their live frames are known.
    OwnWakers,
    /// The task is polled on a thread with a small stack, which had too little room left for a capture. Only the live
    /// frames of the task are known. A thread with the standard library's usual stack of 2 MiB has enough room.
    NoRoom,
    /// The caller is inside a poll of the task itself, so the next poll cannot begin before the call returns. Use
    /// [`Trace::here`](crate::Trace::here), or await [`backtrace`](crate::TraceHandle::backtrace).
    InsideOwnPoll,
}

/// The reason why a task did not answer in time.
///
/// ```
/// println!("{}", tasktrace::NoAnswer::Running);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoAnswer {
    /// The task was in the middle of a poll: it computes, or it blocks its thread.
    Running,
    /// The task was woken, but its executor did not poll it: the executor does not run, all of its threads are busy or
    /// blocked, or the process gets too little processor time.
    NotPolled,
    /// The task was not woken: waking it takes a thread, and the system let the process start none.
    NotWoken,
}

impl From<CaptureError> for TraceError {
    fn from(error: CaptureError) -> Self {
        match error {
            CaptureError::Finished => Self::Finished,
            CaptureError::Panicked => Self::Panicked,
            CaptureError::OwnWakers => Self::OwnWakers,
            CaptureError::NoRoom => Self::NoRoom,
        }
    }
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("the task has finished or was cancelled"),
            Self::Panicked => f.write_str("the task panicked while it was captured"),
            Self::NeverPolled => f.write_str("the task has never been polled"),
            Self::NoAnswer { waited, reason } => {
                write!(f, "the task gave no answer within {waited:?}: {reason}")
            }
            Self::NoSample(reason) => write!(
                f,
                "the task is in the middle of a poll, and its stack is not known: {reason}"
            ),
            Self::OwnWakers => f.write_str(
                "the executor of the task accepts only its own wakers, so the task cannot be captured: \
                 only its live frames are known",
            ),
            Self::NoRoom => f.write_str(
                "the stack of the thread that polls the task has too little room left for a capture: only its live \
                 frames are known",
            ),
            Self::InsideOwnPoll => f.write_str(
                "a task cannot block for its own trace: use `Trace::here()`, or `backtrace().await`",
            ),
        }
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "it is in the middle of a poll: it computes, or blocks its thread",
            Self::NotPolled => {
                "it was woken, but its executor has not polled it: the executor does not run, its threads are busy \
                 or blocked, or the process gets too little processor time"
            }
            Self::NotWoken => "it was not woken, because the thread that wakes tasks could not be started",
        })
    }
}

impl Error for TraceError {}
