//! What the future of a task, the handles to it and the dumps share.
//!
//! Records live in a [`pool`](super::pool), are found there by whoever wants to see all tasks, and
//! are used again when nobody refers to them any more. There are two kinds of reference:
//!
//! * one [`Link`](super::link::Link), in the future of the task: it is the poller's, and what is marked as the
//!   owner's or the poller's in [`exchange`](super::exchange) and [`frames`](super::frames) is done
//!   through it only;
//! * any number of [`RecordRef`]s: readers and askers.
//!
//! Whoever looks at all records does so without a reference, because to count it costs more than
//! to look, and disturbs the poller. What may be read so is in [`sight`](super::sight).

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Waker;

use super::TaskId;
use super::clock::{self, Tick};
use super::exchange::{Exchange, Standing};
use super::frames::{Frames, Gone, Key, Times};
use super::job::JobCell;
use super::pool;
use super::refs::Refs;
use super::sight::{Executor, Sight};
use super::stamp::Stamp;
use super::state::{Running, TaskState};
use super::thread::Token;
use crate::capture::RawTrace;
use crate::host::Job;
use crate::origin::{Identity, Origin};
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering, UnsafeCell};

/// The layout is as written: first what is looked at when all records are, in one or two cache lines.
#[repr(C)]
pub(crate) struct Record {
    pub(super) refs: Refs,
    /// The [`Stamp`] of the last poll that has begun. The poller's to write, as are the next two.
    stamp: AtomicU64,
    /// How often the numbers of polls have begun again.
    rounds: AtomicU32,
    /// The [`Token`] of the thread that has begun the last poll, and whether it was [`NESTED`].
    thread: AtomicU32,
    /// For how many steps of time the function of the task may be suspended. 0 if for ever.
    limit: AtomicU32,
    /// Tells the runtime whose task it is in from others. 0 if that is not known.
    runtime: AtomicU64,
    pub(super) exchange: Exchange<RawTrace>,
    pub(super) frames: Frames,
    /// Set while there is a task in the record. Written by whoever has it to himself: see
    /// [`Refs`].
    about: UnsafeCell<Option<About>>,
    /// The pool's.
    next_free: AtomicPtr<Record>,
}

/// What does not change about a task.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) id: TaskId,
    pub(crate) origin: Origin,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) spawned_at: Option<&'static Location<'static>>,
    /// The task in whose poll it was made.
    pub(crate) parent: Option<TaskId>,
    pub(crate) made: Tick,
    /// The task of the executor that it is in, once that is known: `None` inside if it is in none.
    pub(crate) job: JobCell,
}

impl About {
    /// A new task of this origin.
    #[inline]
    pub(crate) fn of(origin: Origin) -> Self {
        Self {
            id: TaskId::next(),
            origin,
            label: None,
            spawned_at: None,
            parent: None,
            made: Tick::now(),
            job: JobCell::new(),
        }
    }
}

impl About {
    /// A new task that a frame is, outside of any other.
    #[inline]
    pub(super) fn of_identity(identity: &Identity) -> Self {
        Self {
            label: identity.own_label(),
            ..Self::of(identity.origin())
        }
    }
}

/// In the number of the thread: the poll was in one of another task.
const NESTED: u32 = 1 << 31;

// SAFETY: `about` is written only while nobody has a reference to the record, or is able to get
// one, and read by those who have one: see `Refs`. The rest is synchronised.
unsafe impl Sync for Record {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Record {}

impl Record {
    pub(super) fn empty() -> Self {
        Self {
            refs: Refs::none(),
            about: UnsafeCell::new(None),
            exchange: Exchange::new(),
            frames: Frames::new(),
            stamp: AtomicU64::new(0),
            rounds: AtomicU32::new(0),
            thread: AtomicU32::new(0),
            runtime: AtomicU64::new(0),
            limit: AtomicU32::new(0),
            next_free: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// # Safety
    ///
    /// The caller has the record to himself: it is not in use, and not in the pool.
    #[inline(always)]
    pub(super) unsafe fn prepare(&self, about: About) {
        self.stamp
            .store(Stamp::new(0, about.made).to_bits(), Ordering::Relaxed);
        self.rounds.store(0, Ordering::Relaxed);
        self.thread.store(0, Ordering::Relaxed);
        self.runtime.store(0, Ordering::Relaxed);
        let limit = about.origin.stalled_after().map_or(0, clock::steps_in);
        self.limit.store(limit, Ordering::Relaxed);
        // SAFETY: as asserted by the caller. There is nothing to be dropped in it.
        self.about
            .with_mut(|place| unsafe { place.write(Some(about)) });
        self.refs.publish();
    }

    /// # Safety
    ///
    /// The caller has given back the last reference.
    #[inline]
    unsafe fn reset(&self) -> Option<Waker> {
        // SAFETY: as asserted by the caller.
        let waker = unsafe {
            self.about.with_mut(|place| *place = None);
            self.frames.shrink();
            self.exchange.reset()
        };
        self.frames.forget_gone();
        waker
    }

    /// Keeps the record for another task. Returns what is to be dropped.
    ///
    /// # Safety
    ///
    /// The caller has given back the last reference.
    #[inline]
    pub(super) unsafe fn recycle(&'static self) -> Option<Waker> {
        // SAFETY: as asserted by the caller.
        unsafe {
            let waker = self.reset();
            pool::put_back(self);
            waker
        }
    }

    /// The next on the list of free records that this one is on.
    ///
    /// # Safety
    ///
    /// The caller has the record to himself.
    #[inline]
    pub(super) unsafe fn next_free(&self) -> Option<NonNull<Self>> {
        NonNull::new(self.next_free.load(Ordering::Relaxed))
    }

    /// # Safety
    ///
    /// The caller has the record to himself.
    #[inline]
    pub(super) unsafe fn set_next_free(&self, next: Option<NonNull<Self>>) {
        let next = next.map_or(std::ptr::null_mut(), NonNull::as_ptr);
        self.next_free.store(next, Ordering::Relaxed);
    }

    pub(crate) fn about(&self) -> &About {
        // SAFETY: whoever has a `&Record` has a reference to it, so nobody writes. A `Glance` has
        // none, and does not call this.
        let about = self.about.with(|about| unsafe { &*about }.as_ref());
        about.unwrap_or(&NOBODY)
    }

    /// Whether the poll that is to begin is one like the last: outside of any other task, on the same
    /// thread, with the same waker, and with nothing to be done about it.
    ///
    /// # Safety
    ///
    /// The caller is the poller, and in no poll of another task.
    #[inline]
    pub(super) unsafe fn is_usual(&self, waker: &Waker) -> bool {
        // SAFETY: the caller is the poller.
        self.thread.load(Ordering::Relaxed) == Token::number()
            && unsafe { self.exchange.is_quiet(waker) }
    }

    /// The beginning of a poll.
    ///
    /// The caller is the poller.
    #[inline]
    pub(super) fn note_poll(&self) {
        self.note_poll_at(Tick::now());
    }

    #[inline]
    fn note_poll_at(&self, now: Tick) {
        let (stamp, begin_again) = self.stamp().next(now);
        if begin_again {
            self.begin_round();
        }
        // Release: whoever sees it sees on which thread that is.
        self.stamp.store(stamp.to_bits(), Ordering::Release);
    }

    #[cold]
    fn begin_round(&self) {
        let rounds = self.rounds.load(Ordering::Relaxed);
        self.rounds.store(rounds.wrapping_add(1), Ordering::Relaxed);
    }

    /// Notes the thread that polls, in a poll of another task or not.
    ///
    /// The caller is the poller.
    pub(super) fn note_thread(&self, is_nested: bool) {
        let thread = Token::current().map_or(0, |token| token.0);
        let nested = if is_nested { NESTED } else { 0 };
        self.thread.store(thread | nested, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn stamp(&self) -> Stamp {
        Stamp::from_bits(self.stamp.load(Ordering::Relaxed))
    }

    /// The end of a poll that has left the task suspended.
    ///
    /// The caller is the poller.
    #[inline]
    pub(super) fn note_settled(&self) {
        // Whoever sees it finds the frames as that poll has left them, or later.
        self.stamp
            .store(self.stamp().ended().to_bits(), Ordering::Release);
    }

    /// The last poll that has ended and left the task suspended.
    pub(super) fn settled(&self) -> u32 {
        Stamp::from_bits(self.stamp.load(Ordering::Acquire)).settled()
    }

    /// As [`note_settled`](Self::note_settled), of a poll that was for the sake of somebody who
    /// asks, and in which the task has not gone on: it has been waiting since `before`, and the
    /// frames in it as `times` has it.
    ///
    /// The caller is the poller.
    pub(super) fn note_settled_idle(&self, before: Stamp, times: Option<&Times>) {
        // Whoever finds the task suspended, which is said after this, finds these times.
        if let Some(times) = times {
            self.frames.set_times(times);
        }
        let stamp = self.stamp().ended().at_time_of(before);
        self.stamp.store(stamp.to_bits(), Ordering::Release);
    }

    /// A poll has panicked.
    ///
    /// The caller is the poller.
    #[cold]
    #[inline(never)]
    pub(super) fn note_panic(&self) {
        self.exchange.panicked();
        self.note_settled();
    }

    /// Notes that a frame is not to be seen any more.
    pub(super) fn note_gone(&self, key: Key, why: Gone) {
        self.frames.note_gone(key, why);
        self.exchange.note_gone();
    }

    /// Notes in which task of the executor it is polled. The first to know is right.
    #[inline]
    pub(super) fn note_job(&self, job: impl FnOnce() -> Option<Job>) {
        let about = self.about();
        if Job::ARE_KNOWN && about.job.set(job) {
            let job = about.job.get().flatten();
            let runtime = job.map_or(0, Job::runtime_number);
            self.runtime.store(runtime, Ordering::Relaxed);
        }
    }

    /// The [`Token`] of the thread that has begun the last poll.
    pub(super) fn last_thread(&self) -> u32 {
        self.thread.load(Ordering::Relaxed)
    }

    pub(super) fn polls(&self) -> u64 {
        let poll = Stamp::from_bits(self.stamp.load(Ordering::Acquire)).poll();
        u64::from(self.rounds.load(Ordering::Relaxed)) << 31 | u64::from(poll)
    }

    /// Whether it has ended, is being polled or waits to be, and since when.
    ///
    /// Also without a reference to the record: then it may be of a task that is not there any more,
    /// or of two.
    pub(super) fn sight(&self) -> Sight {
        // Acquire: of a poll that has ended, all is seen that it has left.
        let stamp = Stamp::from_bits(self.stamp.load(Ordering::Acquire));
        let (poll, since) = (stamp.poll(), stamp.tick());
        match self.exchange.standing() {
            Standing::Finished => Sight::Finished,
            _ if stamp.is_running() => Sight::Running { poll, since },
            Standing::Panicked => Sight::Moving,
            Standing::Good if poll == 0 && self.rounds.load(Ordering::Relaxed) == 0 => {
                Sight::New { made: since }
            }
            Standing::Good => Sight::Resting { poll, since },
        }
    }

    /// What polls it, as far as it is known.
    pub(super) fn executor(&self) -> Executor {
        Executor {
            runtime: self.runtime.load(Ordering::Relaxed),
            thread: self.thread.load(Ordering::Relaxed) & !NESTED,
        }
    }

    /// Whether the last poll was in one of another task.
    pub(super) fn is_nested(&self) -> bool {
        self.thread.load(Ordering::Relaxed) & NESTED != 0
    }

    /// For how many steps of time the function of the task may be suspended. 0 if for ever.
    pub(super) fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn is_finished(&self) -> bool {
        self.exchange.standing() == Standing::Finished
    }

    pub(super) fn state(&self) -> TaskState {
        match self.sight() {
            Sight::Finished => TaskState::Finished,
            Sight::New { .. } => TaskState::NeverPolled,
            Sight::Running { since, .. } => {
                let token = self.executor().thread;
                let info = Token(token).info();
                TaskState::Running(Running {
                    thread_id: info.as_ref().map_or(0, |info| info.id),
                    thread_name: info.and_then(|info| info.name),
                    for_: since.elapsed(),
                })
            }
            Sight::Resting { .. } | Sight::Moving if self.exchange.is_asked() => TaskState::Woken,
            Sight::Resting { .. } | Sight::Moving => TaskState::Suspended,
        }
    }
}

/// For a record without a task, to which nobody has a reference.
static NOBODY: About = About {
    id: TaskId::NONE,
    origin: Origin::Call {
        future: "",
        location: Location::caller(),
    },
    label: None,
    spawned_at: None,
    parent: None,
    made: Tick(0),
    job: JobCell::new(),
};

/// A reference to a record with a task in it.
pub(crate) struct RecordRef(NonNull<Record>);

// SAFETY: it is a counted reference to what is `Sync`, in memory that is never freed.
unsafe impl Send for RecordRef {}
// SAFETY: likewise.
unsafe impl Sync for RecordRef {}

// A panic in a poll is one of the things that may happen to a task, and is told to who asks.
impl UnwindSafe for RecordRef {}
impl RefUnwindSafe for RecordRef {}

impl RecordRef {
    #[inline(always)]
    pub(crate) fn new(about: About) -> Self {
        Self(NonNull::from(pool::prepare(about)))
    }

    /// # Safety
    ///
    /// The record was retained for this, or is the caller's to publish.
    pub(super) unsafe fn from_retained(record: &'static Record) -> Self {
        Self(NonNull::from(record))
    }

    /// The record, to which there is one reference more than there are of these.
    pub(super) fn into_static(self) -> &'static Record {
        let reference = ManuallyDrop::new(self);
        // SAFETY: records are never freed.
        unsafe { reference.0.as_ref() }
    }

    /// Another reference to the record.
    pub(super) fn of(record: &Record) -> Self {
        record.refs.retain();
        Self(NonNull::from(record))
    }
}

impl Clone for RecordRef {
    fn clone(&self) -> Self {
        Self::of(self)
    }
}

impl Deref for RecordRef {
    type Target = Record;

    #[inline]
    fn deref(&self) -> &Record {
        // SAFETY: records are never freed, and this is a reference to one with a task in it.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for RecordRef {
    fn drop(&mut self) {
        if self.refs.release() {
            // SAFETY: it was the last reference, and records are never freed.
            let record: &'static Record = unsafe { self.0.as_ref() };
            // SAFETY: likewise.
            drop(unsafe { record.recycle() });
        }
    }
}

#[cfg(all(test, tasktrace_loom))]
mod model;
