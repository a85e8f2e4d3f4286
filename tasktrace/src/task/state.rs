//! Describes what a task is doing, for users.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::escape::Escaped;

/// The state of a task, as far as it is known without a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskState {
    /// The task has been made, but its executor has not polled it yet.
    NeverPolled,
    /// The task is in the middle of a poll.
    Running(Running),
    /// The last poll returned `Pending`, and the task waits to be woken.
    Suspended,
    /// The task was woken to answer a request, or by the watchdog that reports it, but its executor has not polled it
    /// since. (Other wakes go directly to the executor, so tasktrace does not see them.)
    Woken,
    /// The task has resolved, or was dropped before that. In a child of `fork`, also a task that another thread of the
    /// parent polled last.
    Finished,
}

/// The running poll of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    pub(crate) thread_name: Option<Arc<str>>,
    pub(crate) thread_id: u64,
    pub(crate) for_: Duration,
    /// `true` if the thread computes, `false` if it waits for something, and `None` if it was not examined.
    pub(crate) computes: Option<bool>,
}

impl Running {
    /// Returns the name of the thread that polls the task.
    #[must_use]
    pub fn thread_name(&self) -> Option<&str> {
        self.thread_name.as_deref()
    }

    /// Returns the number of the thread that polls the task: on Linux, macOS and Windows, the id that the operating
    /// system gave it; elsewhere, a number that tasktrace gave it.
    #[must_use]
    pub fn thread_id(&self) -> u64 {
        self.thread_id
    }

    /// Returns the number of the thread, or `None` if the thread was ending when its poll started.
    pub(crate) fn known_thread(&self) -> Option<u64> {
        (self.thread_id != 0).then_some(self.thread_id)
    }

    /// Returns `true` if the thread computes, and `false` if it is blocked: it waits for something, such as a lock or a
    /// file.
    ///
    /// This is known only on Linux and Windows, for those tasks of a [`dump`](crate::dump()) whose polls did not end
    /// while the dump was taken. Otherwise this returns `None`. Windows counts the time of a thread in ticks of about
    /// 16 ms: there, this returns `false` for a thread that computes but gets no tick while it is measured, as on a busy
    /// machine, and `None` if a dump has too little time.
    #[must_use]
    pub fn computes(&self) -> Option<bool> {
        self.computes
    }

    /// Returns how long the poll has been running.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.for_
    }
}

impl fmt::Display for TaskState {
    /// Writes `never polled`, `running on worker (thread 4711)`, `suspended`, `woken, but not polled yet` or
    /// `finished`.
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
            Self::Woken => f.write_str("woken, but not polled yet"),
            Self::Finished => f.write_str("finished"),
        }
    }
}
