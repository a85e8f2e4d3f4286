//! What a task is doing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::escape::Escaped;

/// What a task is doing, as far as it can be told without asking it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskState {
    /// It has been made, but its executor has not polled it yet.
    NeverPolled,
    /// It is in the middle of a poll.
    Running(Running),
    /// It has returned `Pending`, and waits to be woken.
    Suspended,
    /// It has been woken to answer a question, or by the watchdog that reports it, but its executor
    /// has not polled it since. (Wakes by others are not seen: they go to the executor directly.)
    Woken,
    /// It has resolved, or was dropped before it could. In a child of `fork`, also one that another thread of the
    /// parent has polled.
    Finished,
}

/// The poll that a task is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    pub(crate) thread_name: Option<Arc<str>>,
    pub(crate) thread_id: u64,
    pub(crate) for_: Duration,
    /// `true` if the thread computes, `false` if it waits for something, and `None` if it was not examined.
    pub(crate) computes: Option<bool>,
}

impl Running {
    /// The name of the thread that polls it.
    #[must_use]
    pub fn thread_name(&self) -> Option<&str> {
        self.thread_name.as_deref()
    }

    /// The number of the thread that polls it: what the operating system calls it on Linux, a
    /// number of ours elsewhere.
    #[must_use]
    pub fn thread_id(&self) -> u64 {
        self.thread_id
    }

    /// `None` for a thread that is being taken down.
    pub(crate) fn known_thread(&self) -> Option<u64> {
        (self.thread_id != 0).then_some(self.thread_id)
    }

    /// Returns `true` if the thread computes, `false` if it is blocked: it waits for something, such as a
    /// lock or a file.
    ///
    /// That is known on Linux, of the tasks of a [`dump`](crate::dump()) whose polls did not end while the
    /// dump was taken.
    #[must_use]
    pub fn computes(&self) -> Option<bool> {
        self.computes
    }

    /// For how long it has been in this poll.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.for_
    }
}

impl fmt::Display for TaskState {
    /// `never polled`, `running on worker (thread 4711)`, `suspended`, `woken`, `finished`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverPolled => f.write_str("never polled"),
            Self::Running(running) => {
                f.write_str("running on ")?;
                if let Some(name) = running.thread_name() {
                    write!(f, "{} ", Escaped(name))?;
                }
                write!(f, "(thread {})", running.thread_id)
            }
            Self::Suspended => f.write_str("suspended"),
            Self::Woken => f.write_str("woken, not polled yet"),
            Self::Finished => f.write_str("finished"),
        }
    }
}
