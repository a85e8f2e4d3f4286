//! Implements tasks: the header that a task shares with its observers, the polls of a task, and the handles to it.
//!
//! # Roles
//!
//! The future of a task is owned by an executor. Everything that other threads may know of the task is in a *task
//! header* ([`Header`](header::Header)), outside the future. Code that accesses a header has one of these roles:
//!
//! * The **poller** polls the future, or drops it. Both need a mutable reference to the future, so a task has one
//!   poller at a time, and the accesses of successive pollers happen one after the other. The type
//!   [`Poller`](poller::Poller) proves the role. The poller never waits for another role, except while a requester or a
//!   borrower holds a lock for some instructions, or a reader for as long as it copies the labels of the task.
//! * **Readers** look at the task from any thread: its state, its age, its live frames.
//! * **Requesters** want a trace of the next poll. They add a request and have the task woken, and so they *borrow* its
//!   waker.
//! * **Droppers** drop a frame of the task outside its polls, and *detach* it.
//!
//! # Files
//!
//! A file uses only files of the groups above its own, and some of its own group. A test checks that no two files use
//! each other, except a file and its child.
//!
//! 1. Words of a header:
//!    [`metadata`]: everything that is known when the task is made;
//!    [`poll_state`]: the state bits;
//!    [`clock`]: coarse instants;
//!    [`last_poll`]: the number and the start of the last poll;
//!    [`ref_count`]: the reference count;
//!    [`runtime_task`]: the task of the runtime that contains the task;
//!    [`future_address`]: the place of the future in memory.
//! 2. Shared by many:
//!    [`foreign`]: calls of wakers, which may panic;
//!    [`left_behind`]: the tasks that a `fork` left behind;
//!    [`observation`], [`state`]: descriptions of a task's state.
//! 3. Parts of a header:
//!    [`slot`], [`table`]: storage of frames;
//!    [`waker_cell`]: storage of the waker;
//!    [`oneshot`], [`queue`]: pending requests;
//!    [`side_table`]: the rarely used parts.
//! 4. Headers:
//!    [`header`]: the parts together;
//!    [`chunk_memory`], [`free_list`], [`thread_state`], [`pool`]: allocation and reuse;
//!    [`task_ref`]: counted references;
//!    [`poller`]: the role of the poller;
//!    [`thread`]: indices of threads;
//!    [`at_fork`]: the reset after a `fork`.
//! 5. Protocols:
//!    [`frames`]: one thread writes the live frames, and any thread reads them;
//!    [`requests`]: requests, answers and borrowed wakers.
//! 6. One poll:
//!    [`registration`], [`frame_state`]: the words in a future that say where it is registered;
//!    [`scope`]: the active scopes of a thread;
//!    [`snapshot`]: traces of the live frames;
//!    [`finish`], [`frame`]: the end of tasks and frames;
//!    [`ended`]: the last tasks that panicked or were dropped;
//!    [`runtimes`]: handles to runtimes;
//!    [`erased_future`], [`poll`]: the fast path and the slow path.
//! 7. Requests of users:
//!    [`error`]: their errors;
//!    [`wake_pool`]: threads that wake tasks;
//!    [`awaited`]: tasks that are captured together with the one that awaits them;
//!    [`wait_limit`]: the functions of a task that have a wait limit;
//!    [`handle`]: handles to tasks;
//!    [`mod@sample`]: samples of tasks that are being polled.
//! 8. Futures that users hold:
//!    [`mod@traced`], [`framed`], `wait_frame`.
//! 9. Scans of all tasks:
//!    [`task_view`].
//!
//! # References
//!
//! Headers live in a [`pool`]: they are allocated in chunks that are never freed or moved, so `&'static Header` is
//! always valid. The reference count says whether a header contains a task. These hold references:
//!
//! * the *registration* in the future ([`Registration`](registration::Registration)), one word that says where the
//!   future is registered. That of a task holds one reference until the task finishes.
//! * each [`TaskRef`](task_ref::TaskRef), which handles and dumps contain.
//!
//! At 0 the header contains no task. The thread that released the last reference resets it and puts it on a list of
//! free headers, and from there it is prepared for another task. Between the two the header belongs to one thread at a
//! time.
//!
//! Three kinds of access do without a reference:
//!
//! * A [`TaskView`] reads atomics of the header, and the slots that are never freed. If the header was reused
//!   meanwhile, the values are wrong, but reading them is no data race. So a view is good for a suspicion only: its
//!   user retains the header, and checks again.
//! * A dropper knows only the address of the header and the key of its frame. It marks a slot that is never freed, with
//!   a compare-and-exchange that fails if another frame is in it, or adds the key to a list.
//! * The registration of a *frame* contains the address of the header, only to compare it with that of the task that
//!   polls the frame.
//!
//! # State
//!
//! The word `poll_state` of a header contains eight flags and the index of the thread that started the last poll.
//! [`poll_state`] says for each flag who sets and who clears it. In short:
//!
//! * `CAPTURE`: a capture is pending; the next poll answers it.
//! * `PROBE`: tasktrace has woken the task or is about to, so the next poll may not be one of the task's own.
//! * `DETACHED`: frames were detached, and the poller has to remove them.
//! * `PANICKED`, `FINISHED`: the [`Lifecycle`](poll_state::Lifecycle) of the future. `FINISHED` is set once.
//! * `WAKER`: the header holds a waker.
//! * `BORROWED`: a thread may have borrowed that waker.
//! * `NESTED`: the last poll was inside a poll of another task.
//!
//! While a header contains a task, all changes of this word are read-modify-write operations, so they have a total
//! order. The proof in [`requests`] that no request is lost, and that no borrowed waker is dropped, depends on that.
//!
//! A second word, `last_poll`, contains the number of the last poll, its start, and whether it is running. The poller
//! stores it at the start and at the end of each poll. Because it is one word, a reader never combines the number of
//! one poll with the start of another.
//!
//! # Fields
//!
//! The fields of a header, and the roles that may access them:
//!
//! * `ref_count`: any thread, by read-modify-write operations.
//! * `poll_state`: all roles change it, each its own bits, by read-modify-write operations. Any thread reads it.
//! * `last_poll`: the poller stores it. Any thread loads it.
//! * `waker`: only the poller writes to the cell. After it has cleared `WAKER`, it needs the lock of the queue to do so
//!   if `BORROWED` was set. The poller reads the cell at any time. A borrower copies the waker out of it with the queue
//!   locked, after it has set `BORROWED`.
//! * `metadata`, `id`, `created_at`: the thread that prepares or resets the header writes them, and has the header to
//!   itself. Any thread with a reference reads them. Without a reference, a thread may read only the flags of
//!   `metadata` and the static description of a function.
//! * `table`: the poller writes it. Droppers change only the marks of slots. Any thread reads it, but a copy counts
//!   only if the sequence counter has not changed meanwhile.
//! * `side_table`: the thread that first needs it stores the pointer, by compare-and-exchange, and the pointer never
//!   changes again. Its parts have locks, or belong to the poller.
//! * `runtime`, `runtime_task`: the poller or the function that spawned the task stores them. Both store the same
//!   values. Any thread loads them.
//! * `future_address`: the thread that prepares the header clears it, and the poller stores it at the end of the first
//!   poll. Any thread loads it.
//! * `next_free`: the thread that has the list of free headers, while this header is on it.
//!
//! # The life of a task
//!
//! 1. **Made.** [`traced`](traced()) takes a header from the pool, writes the metadata into it, and sets the count to
//!    1, which publishes it: from now on scans find the task. The registration in the future owns that reference. An
//!    async fn with `#[traced]` that is first polled outside any task becomes a task in the same way, at its first
//!    poll.
//! 2. **Polled, fast path.** [`poll`] compares `poll_state` with the value that the thread expects, and the waker with
//!    the stored one. If both are equal, and no other task is being polled on this thread, it stores `last_poll`,
//!    pushes a [`scope`] on the list of this thread, polls the future, pops the scope, and stores `last_poll` again. It
//!    executes no locked instruction.
//! 3. **Polled, slow path.** Otherwise the poll first stores a new waker, its thread, and whether it is nested, clears
//!    `PROBE`, and removes detached frames. If `CAPTURE` is set, it polls the future with a waker that records stacks,
//!    and answers the requests with the recording. If only a request has caused the poll and the task made no progress
//!    in it, the times of the task and its frames are set back.
//! 4. **Suspended.** At the end of the first poll that returns `Pending`, the poller stores the waker, and wakes the
//!    task itself if a request came meanwhile. A frame that is suspended for the first time is registered in the table:
//!    see [`frames`].
//! 5. **Observed.** A reader takes a reference and copies the words and the table. A requester adds a request, sets
//!    `CAPTURE`, and borrows the waker to wake the task: see [`requests`].
//! 6. **Panicked.** If a poll panics, the pending requests are answered with that error, `PANICKED` is set, and the
//!    panic propagates. The next poll, if there is one, takes the slow path and clears the flag.
//! 7. **Finished.** When the future resolves or is dropped, [`finish`] removes its frames, and releases the reference
//!    of the registration. If other references are left, it also sets `FINISHED` and answers the pending requests. The
//!    waker goes to the last borrower, if there is one, and is dropped.
//! 8. **Recycled.** The thread that releases the last reference frees the metadata, and returns the header to the pool.
//!
//! # Safety
//!
//! The unsafe code of this module depends on five facts, each proved where it is stated:
//!
//! * **One poller.** [`Registration::poller`](registration::Registration::poller) is the only source of pollers outside
//!   [`finish`] and tests, and demands that its caller polls or drops the future.
//! * **Exclusive headers.** [`UnusedHeader`](free_list::UnusedHeader) is a header without a task that one thread owns.
//!   [`ref_count`] orders the accesses to successive tasks in a header.
//! * **The waker** is never replaced while another thread reads it, and is dropped after its last borrow: see
//!   [`requests`].
//! * **Slots** never move, and are freed only when the header has no references. Those that droppers and views access
//!   are never freed: see [`table`].
//! * **Scopes** that are on the list of their thread are alive: see [`scope`].
//!
//! No lock is held while foreign code runs: wakers, destructors of futures, and the allocator, which may use tasktrace
//! itself. While a thread holds a [`ReentrancyGuard`](crate::sync::ReentrancyGuard), a traced future that its allocator
//! polls registers no frames, so the allocator never finds a table in the middle of a change.

mod at_fork;
mod awaited;
mod chunk_memory;
mod clock;
mod ended;
mod erased_future;
mod error;
mod finish;
mod foreign;
mod frame;
mod frame_state;
mod framed;
mod frames;
mod free_list;
#[cfg_attr(not(feature = "inspect"), path = "no_future_address.rs")]
mod future_address;
mod handle;
mod header;
mod last_poll;
mod left_behind;
mod metadata;
mod observation;
pub(crate) mod oneshot;
mod poll;
mod poll_state;
mod poller;
mod pool;
mod queue;
mod ref_count;
mod registration;
mod requests;
mod runtime_task;
mod runtimes;
mod sample;
mod scope;
mod side_table;
mod slot;
mod snapshot;
mod state;
mod table;
mod task_ref;
mod task_view;
mod thread;
mod thread_state;
mod traced;
#[cfg(feature = "tokio")]
mod wait_frame;
mod wait_limit;
mod wake_pool;
mod waker_cell;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

pub use crate::capture::NoSample;
pub(crate) use clock::{CoarseInstant, ExactInstant};
pub(crate) use ended::{EndedTaskInfo, ended_tasks, note_panic_message};
pub use error::{NoAnswer, TraceError};
pub(crate) use framed::HasIdentity;
pub use framed::{Framed, TracedExt, TracedFuture};
pub(crate) use handle::TraceRequest;
pub use handle::{TraceHandle, current, tasks};
pub(crate) use metadata::Metadata;
pub(crate) use observation::{ExecutorId, Observation};
pub(crate) use oneshot::{CaptureError, ChannelBatch};
pub(crate) use runtimes::for_each_runtime;
pub(crate) use sample::sample;
pub use state::{Running, TaskState};
pub(crate) use task_view::{TaskView, task_views};
pub(crate) use thread::ThreadIndex;
pub use traced::{TracedTask, traced};
#[cfg(feature = "tokio")]
pub(crate) use wait_frame::WaitFrame;
pub(crate) use wait_limit::WaitLimit;
pub(crate) use wake_pool::PendingWakes;

/// Identifies a task for the life of the process.
///
/// Ids are numbers from 1 on, in the order in which the tasks were made. No two tasks have the same id.
///
/// ```
/// let (_future, handle) = tasktrace::traced(async {});
/// println!("made task {}", handle.id());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(NonZeroU64);

impl TaskId {
    /// The id of no task.
    const NONE: Self = Self(NonZeroU64::MAX);

    /// Returns the next id.
    ///
    /// All threads share one counter, as in tokio, so that ids tell the order of tasks. This costs a locked instruction
    /// for each task that is made.
    #[inline]
    fn next() -> Self {
        // At one task a nanosecond, the counter wraps after 584 years.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(NonZeroU64::new(next).unwrap_or(NonZeroU64::MIN))
    }

    /// Returns the id with this number, which is not 0.
    pub(crate) fn from_number(number: u64) -> Self {
        NonZeroU64::new(number).map_or(Self::NONE, Self)
    }

    /// Returns the number of the task.
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

/// Returns the number of headers in use, and the number of live frames in them, for tests.
pub(crate) fn live() -> (usize, usize) {
    let frames = task_ref::tasks().map(|header| header.count_frames()).sum();
    (pool::count_in_use(), frames)
}
