//! Tasks: the record, how it is polled, and the handle to it.
//!
//! * [`record`]: what is known of a task; [`about`]: what of it is from the beginning; [`refs`] and [`pool`]:
//!   how it is kept; [`extras`]: what few need.
//! * [`exchange`]: the protocol between those who ask and the one who polls; [`turn`]: what a poll has to
//!   know of it; [`answer`]: the place for what comes of it.
//! * [`frames`]: the live frames of a task, which one thread writes and any may read; [`live`]: what is made of
//!   them.
//! * [`scope`]: what is being polled on this thread, which has a [`local`] for it.
//! * [`drive`]: one poll of a task; [`frame`]: one poll of a frame; [`body`]: what both do not know the type
//!   of; [`link`], [`name`]: what their futures know of themselves.
//! * [`traced`], [`framed`]: the futures that users hold; `awaiting`: what is in those that wait for
//!   tasks.
//! * [`handle`]: what users ask with; [`awaited`]: who is asked together with a task.
//! * [`ended`]: the last that panicked, or were dropped before they had ended.
//! * [`waking`]: waking who has been asked.
//! * [`sample`]: what is done about those that cannot answer.
//! * [`sight`], [`limited`]: what the watchdog looks at.
//! * [`foreign`]: wakers that may panic, or that leaves demand.
//! * [`job`]: in which task of the executor it is; [`witness`]: which runtimes there are.
//! * [`clock`], [`stamp`], [`thread`]: when, in which poll, and by whom.

mod about;
mod answer;
mod awaited;
#[cfg(feature = "tokio")]
mod awaiting;
mod body;
mod clock;
mod drive;
mod ended;
mod error;
mod exchange;
mod extras;
mod foreign;
mod fork;
mod frame;
mod framed;
mod frames;
mod handle;
mod job;
mod limited;
mod link;
mod live;
mod local;
mod name;
mod pool;
mod record;
mod refs;
mod sample;
mod scope;
mod sight;
mod stamp;
mod state;
mod thread;
mod traced;
mod turn;
mod waking;
mod witness;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

pub use crate::capture::NoSample;
pub(crate) use about::About;
pub(crate) use answer::{Answers, promise};
#[cfg(feature = "tokio")]
pub(crate) use awaiting::Awaiting;
pub(crate) use clock::{Moment, Tick};
pub(crate) use ended::{Ended, ended, set_panic};
pub use error::{NoAnswer, TraceError};
pub(crate) use exchange::End;
pub(crate) use framed::Named;
pub use framed::{Framed, TracedExt, TracedFuture};
pub(crate) use handle::Asked;
pub use handle::{TraceHandle, current, tasks};
pub(crate) use limited::Limited;
pub(crate) use name::NameRef;
pub(crate) use pool::glances;
pub(crate) use sample::sample;
pub(crate) use sight::{Executor, Glance, Sight};
pub use state::{Running, TaskState};
pub(crate) use thread::Token;
pub use traced::{TracedTask, traced};
pub(crate) use waking::Waking;
pub(crate) use witness::for_each_runtime;

/// Identifies a task for the life of the process.
///
/// Numbers start from 1, in the order in which tasks were made, and none is used twice.
///
/// ```
/// let (_future, handle) = tasktrace::traced(async {});
/// println!("made task {}", handle.id());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(NonZeroU64);

impl TaskId {
    /// Of no task.
    const NONE: Self = Self(NonZeroU64::MAX);

    /// The next number.
    ///
    /// All threads take them from one place, as tokio does, so that readers find them in order: a locked
    /// instruction for each task that is made.
    #[inline]
    fn next() -> Self {
        // At one task a nanosecond, the counter wraps after 584 years.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(NonZeroU64::new(next).unwrap_or(NonZeroU64::MIN))
    }

    /// The task with this number, which is not 0.
    pub(crate) fn from_number(number: u64) -> Self {
        NonZeroU64::new(number).map_or(Self::NONE, Self)
    }

    /// The number of the task.
    ///
    /// ```
    /// let (_future, handle) = tasktrace::traced(async {});
    /// assert!(handle.id().get() > 0);
    /// ```
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many records are in use, and how many frames are in them: for tests that nothing is left
/// behind.
pub(crate) fn live() -> (usize, usize) {
    let frames = pool::tasks().map(|record| record.frames().len()).sum();
    (pool::count(), frames)
}
