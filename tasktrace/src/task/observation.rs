//! Describes what a task is doing, and what polls it, as far as the words of its header tell.

use super::clock::CoarseInstant;

/// The state of a task at one moment, and since when it has been in that state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Observation {
    /// The task has not been polled yet.
    New { created_at: CoarseInstant },
    /// A poll is running, which started at `since`.
    Running { poll: u32, since: CoarseInstant },
    /// The task is suspended. Its last poll that was not only for a request started at `since`.
    Suspended { poll: u32, since: CoarseInstant },
    /// The task has finished, or was left behind by a `fork`.
    Finished,
    /// The last poll panicked.
    Panicked,
}

/// Identifies what polls a task, as far as it is known: a runtime and one of its threads.
///
/// Neither is enough alone. One thread of a runtime may be blocked, together with the `LocalSet` that it runs, while
/// the others work. And a thread may have left one runtime for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ExecutorId {
    /// The number of the runtime, or 0 if it is not known.
    pub(crate) runtime: u32,
    /// The index of the thread that polled the task last, or 0 if none did.
    pub(crate) thread: u32,
}
