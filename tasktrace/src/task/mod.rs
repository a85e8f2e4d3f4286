//! Tasks: the record, how it is polled, and the handle to it.
//!
//! # Files
//!
//! A file uses those in the rows above its own, and some in its row; a test sees to it that no two files use each other,
//! but for a file and its child.
//!
//! | | files |
//! |---|---|
//! | words of a record | [`about`]: what is known of a task from the beginning; [`turn`]: its state; [`stamp`], [`clock`]: its last poll, and when that was; [`job`]: in which task of the executor it is; [`refs`]: the count of references |
//! | what many share | [`foreign`]: calls of wakers, which may panic; [`fork`]: which tasks a fork has left behind; [`state`], [`sight`]: what is told of a task |
//! | parts of a record | [`slot`], [`table`]: where frames are kept; [`waker_cell`]: where the waker is; [`answer`], [`queue`]: those who ask; [`extras`]: what few tasks need |
//! | records | [`record`]: the parts together; [`free`], [`local`], [`pool`]: how they are made and used again; [`mod@reference`]: counted references; [`poller`]: the role of who polls; [`thread`]: the threads that poll; [`at_fork`]: what a fork changes |
//! | what is done with a record | [`frames`]: the live frames, which one thread writes and any may read; [`exchange`]: the protocol between those who ask and the one who polls |
//! | one poll | [`link`], [`head`]: what a future knows of itself; [`scope`]: what is being polled on this thread; [`finish`], [`frame`]: how tasks and frames end; [`ended`]: the last that panicked or were dropped; [`witness`]: which runtimes there are; [`body`], [`drive`]: a poll |
//! | futures | [`traced`], [`framed`], `awaiting`: what users hold |
//! | asking | [`error`]: why there is no answer; [`live`]: what is made of the frames; [`waking`]: wakes who has been asked; [`awaited`]: who is asked together with a task; [`handle`]: what users ask with; [`sample`]: those that cannot answer |
//! | watching | [`glance`], [`limited`]: what the watchdog looks at |
//!
//! # The life of a task
//!
//! 1. [`traced`] takes a record from the pool and writes what is known of the task into it. The future has the [`link`]:
//!    whoever polls or drops that is the **poller**. Handles and dumps are **readers**.
//! 2. A poll compares the state and the waker with those of the last poll. If they are the same, it notes the time,
//!    puts a [`scope`] on the thread's list, and polls the future. Otherwise it goes through [`drive`]'s slow path, which
//!    takes requests, stores the new waker, and takes frames off that have ended elsewhere. So there are two ways, and
//!    no third.
//! 3. A frame that is suspended for the first time is filed in the record: see [`frames`].
//! 4. A reader takes a reference, and copies the frames, or adds a request and has the task woken: see [`exchange`].
//! 5. When the future resolves or is dropped, the task finishes: see [`finish`]. When there is no reference left, the
//!    record is used for another task. It is never freed.
//!
//! # Who may access what
//!
//! | word | written by | read by |
//! |---|---|---|
//! | `refs` | anyone, by read-modify-write | anyone |
//! | `turn` | poller, those who ask, who drops a frame: bit by bit | anyone |
//! | `stamp` | poller | anyone; a torn view is not possible, it is one word |
//! | `waker` | poller | poller; a borrower, with the queue locked |
//! | `about`, `id`, `made` | who prepares the record, alone | anyone with a reference; `about` also at a glance |
//! | `table` | poller; who drops a frame marks its slot | anyone; what is read counts if the sequence number has not changed |
//! | `extras` | anyone, once | anyone; what is in it has locks, or is the poller's |
//! | `job_runtime`, `job_task` | poller, once | anyone |

mod about;
mod answer;
mod at_fork;
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
mod finish;
mod foreign;
mod fork;
mod frame;
mod framed;
mod frames;
mod free;
mod glance;
mod handle;
mod head;
mod job;
mod limited;
mod link;
mod live;
mod local;
mod poller;
mod pool;
mod queue;
mod record;
mod reference;
mod refs;
mod sample;
mod scope;
mod sight;
mod slot;
mod stamp;
mod state;
mod table;
mod thread;
mod traced;
mod turn;
mod waker_cell;
mod waking;
mod witness;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

pub use crate::capture::NoSample;
pub(crate) use about::About;
pub(crate) use answer::{Answers, End, promise};
#[cfg(feature = "tokio")]
pub(crate) use awaiting::Awaiting;
pub(crate) use clock::{Moment, Tick};
pub(crate) use ended::{Ended, ended, set_panic};
pub use error::{NoAnswer, TraceError};
pub(crate) use framed::HasIdentity;
pub use framed::{Framed, TracedExt, TracedFuture};
pub(crate) use glance::{Glance, glances};
pub(crate) use handle::Asked;
pub use handle::{TraceHandle, current, tasks};
pub(crate) use limited::Limited;
pub(crate) use sample::sample;
pub(crate) use sight::{Executor, Sight};
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
    let frames = reference::tasks().map(|record| record.count_frames()).sum();
    (pool::count(), frames)
}
