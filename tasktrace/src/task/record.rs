//! What the future of a task, the handles to it and the dumps share.
//!
//! Records live in a [`pool`](super::pool), are found there by whoever wants to see all tasks, and
//! are used again when nobody refers to them any more. There are two kinds of reference:
//!
//! * one [`Link`](super::link::Link), in the future of the task: whoever polls or drops that future is the
//!   [`Poller`](super::poller::Poller);
//! * any number of [`RecordRef`](super::reference::RecordRef)s: readers, and those who ask.
//!
//! Whoever looks at all records does so without a reference, because to count it costs more than
//! to look, and disturbs the poller. What may be read so is in [`glance`](super::glance).

#[cfg(all(target_pointer_width = "64", not(tasktrace_loom), not(tasktrace_tsan)))]
use std::mem::offset_of;
use std::panic::Location;
use std::ptr;
use std::sync::Arc;
use std::task::Waker;

use super::TaskId;
use super::about::{AboutCell, Known, Word};
use super::clock::Tick;
use super::extras::ExtrasCell;
use super::fork;
use super::job::{self, JobCell};
use super::refs::Refs;
use super::sight::{Executor, Sight};
use super::stamp::Stamp;
use super::table::Table;
use super::turn::{NESTED, Standing, Turn, WAKER};
use super::waker_cell::WakerCell;
use crate::host::Job;
use crate::origin::{Identity, Origin};
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// There is one for each task. What most tasks do not need is in its [`extras`](super::extras).
///
/// A task that was not polled for a while is in no cache, and each line of it that is looked at has to come from
/// memory. So the layout is as written: in the first line, all that a poll of the task looks at; in the second,
/// the slots of two frames.
#[repr(C, align(64))]
pub(crate) struct Record {
    pub(super) refs: Refs,
    pub(super) turn: Turn,
    /// The [`Stamp`] of the last poll that has begun. The poller's to write.
    pub(super) stamp: AtomicU64,
    pub(super) waker: WakerCell,
    // What does not change while there is a task in the record. Written by who has it to himself.
    about: AboutCell,
    pub(super) extras: ExtrasCell,
    pub(super) table: Table,
    id: AtomicU64,
    made: AtomicU32,
    // In which task of the executor it is, see `JobCell`.
    job_runtime: AtomicU32,
    job_task: AtomicU64,
    /// While the record is not in use, the next that is not.
    next_free: AtomicPtr<Self>,
}

#[cfg(all(target_pointer_width = "64", not(tasktrace_loom), not(tasktrace_tsan)))]
const _: () = {
    const LINE: usize = 64;
    assert!(size_of::<Record>() == 3 * LINE);
    assert!(offset_of!(Record, table) + Table::SLOTS == LINE);
};

// SAFETY: what is not an atomic is synchronised as [`exchange`](super::exchange) says, or by `Refs` for who has the record to
// himself.
unsafe impl Sync for Record {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Record {}

impl Record {
    pub(super) fn empty() -> Self {
        Self {
            refs: Refs::none(),
            turn: Turn::new(),
            stamp: AtomicU64::new(0),
            waker: WakerCell::new(),
            about: AboutCell::new(),
            extras: ExtrasCell::new(),
            table: Table::new(),
            id: AtomicU64::new(0),
            made: AtomicU32::new(0),
            job_runtime: AtomicU32::new(job::UNKNOWN),
            job_task: AtomicU64::new(0),
            next_free: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Puts a task in it, of which this is known. `turn` is what its [`Turn`] is before its first poll.
    ///
    /// # Safety
    ///
    /// The caller has the record to himself: it is not in use, and not in the pool.
    #[inline]
    pub(super) unsafe fn prepare(&self, id: TaskId, about: Word, turn: u32) {
        let made = Tick::now();
        self.turn.store(turn);
        let stamp = Stamp::new(0, made);
        self.stamp.store(stamp.to_bits(), Ordering::Relaxed);
        self.about.set(about);
        self.id.store(id.get(), Ordering::Relaxed);
        self.made.store(made.0, Ordering::Relaxed);
        self.job_runtime.store(job::UNKNOWN, Ordering::Relaxed);
        self.refs.publish();
    }

    /// Takes out what is left of a task. Returns what is to be dropped.
    ///
    /// # Safety
    ///
    /// The caller has given back the last reference.
    #[inline]
    pub(super) unsafe fn reset(&self) -> Option<Waker> {
        if let Some(extras) = self.extras.get() {
            // SAFETY: as asserted by the caller, nobody else has a reference. The task has ended, so it has no frames.
            unsafe { extras.reset() };
        }
        // SAFETY: as asserted by the caller, nobody uses what was known of the task, or its waker.
        unsafe {
            self.about.clear();
            self.turn.has(WAKER).then(|| self.waker.take())
        }
    }

    /// The next on the list of free records that this one is on.
    #[inline]
    pub(super) fn next_free(&self) -> Option<&'static Self> {
        // SAFETY: `set_next_free` has put it there, and alone does.
        unsafe { self.next_free.load(Ordering::Relaxed).as_ref() }
    }

    #[inline]
    pub(super) fn set_next_free(&self, next: Option<&'static Self>) {
        let next = next.map_or(ptr::null(), ptr::from_ref);
        self.next_free.store(next.cast_mut(), Ordering::Relaxed);
    }

    #[inline]
    fn known(&self) -> Known<'_> {
        // SAFETY: whoever has a `&Record` has a reference, but for a `Glance`, which does not call this.
        unsafe { self.about.known() }
    }

    pub(crate) fn id(&self) -> TaskId {
        TaskId::from_number(self.id.load(Ordering::Relaxed))
    }

    pub(crate) fn made(&self) -> Tick {
        Tick(self.made.load(Ordering::Relaxed))
    }

    pub(crate) fn origin(&self) -> Origin {
        match self.known() {
            Known::Nothing => NOBODY,
            Known::Function(meta) => Origin::Function(meta),
            Known::More(about) => about.origin,
        }
    }

    pub(crate) fn label(&self) -> Option<&Arc<str>> {
        self.known().more()?.label.as_ref()
    }

    /// What the task is known by.
    #[inline]
    pub(crate) fn identity(&self) -> Identity {
        match self.known() {
            Known::Function(meta) => Identity::Static(meta),
            _ => Identity::new(self.origin(), self.label().cloned(), None),
        }
    }

    pub(crate) fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.known().more()?.spawned_at
    }

    pub(crate) fn parent(&self) -> Option<TaskId> {
        self.known().more()?.parent
    }

    /// The task of the executor that it is in. `None` if that is not known, or if there is none.
    pub(crate) fn job(&self) -> Option<Job> {
        self.job_cell().get()
    }

    /// Notes in which task of the executor it is polled. The first to know is right.
    #[inline]
    pub(super) fn note_job(&self, job: impl FnOnce() -> Option<Job>) {
        self.job_cell().set(job);
    }

    #[inline]
    fn job_cell(&self) -> JobCell<'_> {
        JobCell {
            task: &self.job_task,
            runtime: &self.job_runtime,
        }
    }

    /// Whether there is a waker to wake the task with.
    #[inline]
    pub(super) fn has_waker(&self) -> bool {
        self.turn.has_waker()
    }

    /// How often the numbers of polls have begun again.
    fn rounds(&self) -> u32 {
        let extras = self.extras.get();
        extras.map_or(0, |extras| extras.rounds.load(Ordering::Relaxed))
    }

    #[inline]
    pub(super) fn stamp(&self) -> Stamp {
        Stamp::from_bits(self.stamp.load(Ordering::Relaxed))
    }

    /// The last poll that has ended and left the task suspended.
    pub(super) fn settled(&self) -> u32 {
        Stamp::from_bits(self.stamp.load(Ordering::Acquire)).settled()
    }

    /// Returns `true` if its last poll has panicked.
    pub(super) fn has_panicked(&self) -> bool {
        self.turn.standing() == Standing::Panicked
    }

    /// The [`Token`](super::thread::Token) of the thread that has begun the last poll.
    pub(super) fn last_thread(&self) -> u32 {
        self.turn.thread()
    }

    /// Returns `true` if this process is a child of `fork`, and the thread that polled the task is one of its parent's.
    #[inline]
    pub(super) fn is_left_behind(&self) -> bool {
        fork::is_left_behind(self.turn.thread())
    }

    /// Returns how many polls have begun, without those that only answered requests.
    pub(super) fn own_polls(&self) -> u64 {
        // In this order: of a poll that is being counted among those, it is not known yet whose it is.
        let extras = self.extras.get();
        let asked = extras.map_or(0, |extras| extras.asked_polls.load(Ordering::Relaxed));
        self.polls().saturating_sub(asked)
    }

    pub(super) fn polls(&self) -> u64 {
        let poll = Stamp::from_bits(self.stamp.load(Ordering::Acquire)).poll();
        u64::from(self.rounds()) << 31 | u64::from(poll)
    }

    /// Whether it has ended, is being polled or waits to be, and since when.
    ///
    /// Also without a reference to the record: then it may be of a task that is not there any more,
    /// or of two.
    pub(super) fn sight(&self) -> Sight {
        // Acquire: of a poll that has ended, all is seen that it has left.
        let stamp = Stamp::from_bits(self.stamp.load(Ordering::Acquire));
        let (poll, since) = (stamp.poll(), stamp.tick());
        match self.turn.standing() {
            Standing::Finished => Sight::Finished,
            _ if self.is_left_behind() => Sight::Finished,
            _ if stamp.is_running() => Sight::Running { poll, since },
            Standing::Panicked => Sight::Moving,
            Standing::Good if poll == 0 && self.rounds() == 0 => Sight::New { made: since },
            Standing::Good => Sight::Resting { poll, since },
        }
    }

    /// What polls it, as far as it is known.
    pub(super) fn executor(&self) -> Executor {
        Executor {
            runtime: self.job_cell().runtime(),
            thread: self.turn.thread(),
        }
    }

    /// Whether the last poll was in one of another task.
    pub(super) fn is_nested(&self) -> bool {
        self.turn.has(NESTED)
    }

    /// Whether the function of the task, which has been suspended since then, may have been so for as long
    /// as it is allowed to. Also without a reference to the record.
    pub(super) fn may_be_overdue(&self, since: Tick, now: Tick) -> bool {
        self.about.may_be_limited_to(now.0.saturating_sub(since.0))
    }

    #[inline]
    pub(super) fn is_finished(&self) -> bool {
        self.turn.standing() == Standing::Finished
    }
}

/// For a record without a task, to which nobody has a reference.
const NOBODY: Origin = Origin::Call {
    future: "",
    location: Location::caller(),
};

#[cfg(all(test, tasktrace_loom))]
mod model;
