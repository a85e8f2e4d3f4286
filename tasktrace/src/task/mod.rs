//! Tasks: the record, how it is polled, and the handle to it.
//!
//! * [`exchange`]: the protocol between those who ask and the one who polls.
//! * [`drive`]: one poll of a task.
//! * [`traced`], [`framed`]: the futures that users hold.
//! * [`handle`]: what users ask with.

mod drive;
mod error;
mod exchange;
mod framed;
mod handle;
mod traced;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use error::{NoAnswer, TraceError};
pub use framed::{FrameFuture, TaskFuture};
pub use handle::{TraceHandle, current};
pub use traced::{TracedTask, traced};

use crate::origin::Origin;
use crate::trace::Trace;
use exchange::Exchange;

/// Identifies a task for the life of the process.
///
/// Tasks are numbered in the order in which they were made, starting from 1. A number is never
/// used twice.
///
/// ```
/// let (_future, handle) = tasktrace::traced(async {});
/// println!("made task {}", handle.id());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(NonZeroU64);

impl TaskId {
    fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        // At one task a nanosecond, the counter wraps after 584 years.
        Self(NonZeroU64::new(id).unwrap_or(NonZeroU64::MIN))
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

/// What the future of a task and the handles to it share.
pub(crate) struct Task {
    id: TaskId,
    origin: Origin,
    exchange: Exchange<Trace>,
}

impl Task {
    pub(crate) fn new(origin: Origin) -> Arc<Self> {
        Arc::new(Self {
            id: TaskId::next(),
            origin,
            exchange: Exchange::new(),
        })
    }
}

/// The poller's reference to the record. There is one for each task, it is owned by the future of
/// the task, and the task is finished when it is dropped.
struct Owner(Arc<Task>);

impl Owner {
    fn finish(&self) {
        // SAFETY: whoever has the owner of a task is its poller.
        unsafe { self.0.exchange.finish() };
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.0.id)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.finish();
    }
}
