//! Why there is no trace.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::answer::End;
use crate::capture::NoSample;

/// Why [`TraceHandle::backtrace_timeout`](crate::TraceHandle::backtrace_timeout) has no trace to
/// give.
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
    /// The future has resolved, or was dropped before it could.
    Finished,
    /// A poll of the future panicked while it was being asked.
    Panicked,
    /// The future was not polled for the first time within the time given.
    NeverPolled,
    /// The future was not polled again within the time given.
    NoAnswer {
        /// How long the task was waited for.
        waited: Duration,
        /// Why it did not answer.
        reason: NoAnswer,
    },
    /// It is in the middle of a poll, and the stack of its thread could not be taken.
    NoSample(NoSample),
    /// The executor of the task demands that wakers be its own, as embassy's does, so its tasks cannot be captured:
    /// only their live frames are known.
    OwnWakers,
    /// The task is polled on a thread with a small stack, on which there was too little room left for a capture. Its
    /// live frames are known. A thread with the standard library's usual stack of 2 MiB has enough.
    NoRoom,
    /// The question came from inside a poll of the task itself, so waiting for the next one would
    /// have been in vain. Use [`Trace::here`](crate::Trace::here), or await
    /// [`backtrace`](crate::TraceHandle::backtrace).
    InsideOwnPoll,
}

/// What a task was doing that it did not answer in time.
///
/// ```
/// println!("{}", tasktrace::NoAnswer::Running);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoAnswer {
    /// It was in the middle of a poll: it computes, or it blocks its thread.
    Running,
    /// It had been woken, but its executor did not poll it: the executor does not run, or all of
    /// its threads are busy or blocked.
    NotPolled,
    /// It was not woken: that takes a thread, and the system let the process start none.
    NotWoken,
}

impl From<End> for TraceError {
    fn from(end: End) -> Self {
        match end {
            End::Finished => Self::Finished,
            End::Panicked => Self::Panicked,
            End::OwnWakers => Self::OwnWakers,
            End::NoRoom => Self::NoRoom,
        }
    }
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("the task has finished or was cancelled"),
            Self::Panicked => f.write_str("the task panicked while it was asked for a trace"),
            Self::NeverPolled => f.write_str("the task has never been polled yet"),
            Self::NoAnswer { waited, reason } => {
                write!(f, "the task gave no answer within {waited:?}: {reason}")
            }
            Self::NoSample(reason) => write!(
                f,
                "the task is in the middle of a poll, and its stack is not known: {reason}"
            ),
            Self::OwnWakers => f.write_str(
                "the executor of the task demands that wakers be its own, so the task cannot be captured: \
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
            Self::Running => "it is in the middle of a poll, busy or blocking its thread",
            Self::NotPolled => {
                "it was woken, but its executor has not polled it: it does not run, its threads are busy or \
                 blocked, or the process gets too little processor time"
            }
            Self::NotWoken => "it was not woken, because no thread could be started for that",
        })
    }
}

impl Error for TraceError {}
