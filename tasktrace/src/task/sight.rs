//! What a task is doing, and what polls it, as words of its record tell.

use super::clock::Tick;

/// What a task is doing, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It has not been polled yet.
    New { made: Tick },
    /// It is in a poll, which began then.
    Running { poll: u32, since: Tick },
    /// It is suspended. The last poll that was not for the sake of somebody who asks began then.
    Resting { poll: u32, since: Tick },
    /// It has ended.
    Finished,
    /// It has panicked in its last poll.
    Moving,
}

/// What polls a task, as far as it is known: a runtime and one of its threads.
///
/// Neither would do alone. Of a runtime with many threads, one may be blocked, together with the
/// `LocalSet` that it runs; and a thread may have left a runtime for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Executor {
    /// The number of the runtime. 0 if it is not known.
    pub(crate) runtime: u32,
    /// The token of the thread that has polled it last. 0 if none has.
    pub(crate) thread: u32,
}
