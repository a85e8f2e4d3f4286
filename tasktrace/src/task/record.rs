//! What the future of a task, the handles to it and the dumps share.
//!
//! Records live in a [`pool`](super::pool), are found there by whoever wants to see all tasks, and
//! are used again when nobody refers to them any more. There are two kinds of reference:
//!
//! * one [`Owner`], in the future of the task: it is the poller's, and what is marked as the
//!   owner's or the poller's in [`exchange`](super::exchange) and [`frames`](super::frames) is done
//!   through it only;
//! * any number of [`RecordRef`]s: readers and askers.
//!
//! Whoever looks at all records does so without a reference, because to count it costs more than
//! to look, and disturbs the poller. What may be read so is in [`sight`](super::sight).

use std::fmt;
use std::ops::Deref;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use super::TaskId;
use super::clock::{self, Tick};
use super::exchange::{Exchange, Phase};
use super::frames::{Frames, Stamp, Times};
use super::pool;
use super::refs::Refs;
use super::sight::{Executor, Sight};
use super::state::{Running, TaskState};
use super::thread::Token;
use crate::host::Job;
use crate::origin::Origin;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering, UnsafeCell};
use crate::trace::Trace;

/// The layout is as written: first what is looked at when all records are, in one or two cache lines.
#[repr(C)]
pub(crate) struct Record {
    pub(super) refs: Refs,
    /// How many polls have begun. The poller's to write, as are the next three.
    polls: AtomicU64,
    /// Which of them was the last that has ended and left the task suspended.
    settled: AtomicU64,
    /// The [`Stamp`] of the last poll that has begun.
    stamp: AtomicU64,
    /// The [`Token`] of the thread that has begun the last poll, and whether it was [`NESTED`].
    thread: AtomicU32,
    /// For how many steps of time the function of the task may be suspended. 0 if for ever.
    limit: AtomicU32,
    /// Tells the runtime whose task it is in from others. 0 if that is not known.
    runtime: AtomicU64,
    pub(super) exchange: Exchange<Trace>,
    pub(super) frames: Frames,
    /// Set while there is a task in the record. Written by whoever has it to himself: see
    /// [`Refs`].
    about: UnsafeCell<Option<About>>,
    /// The pool's.
    pub(super) next_free: AtomicPtr<Record>,
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
    pub(crate) job: OnceLock<Option<Job>>,
}

impl About {
    /// A new task of this origin.
    pub(crate) fn of(origin: Origin) -> Self {
        Self {
            id: TaskId::next(),
            origin,
            label: None,
            spawned_at: None,
            parent: None,
            made: Tick::now(),
            job: OnceLock::new(),
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
            polls: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            stamp: AtomicU64::new(0),
            thread: AtomicU32::new(0),
            runtime: AtomicU64::new(0),
            limit: AtomicU32::new(0),
            next_free: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// # Safety
    ///
    /// The caller has the record to himself: it is not in use, and not in the pool.
    pub(super) unsafe fn prepare(&self, about: About) {
        self.polls.store(0, Ordering::Relaxed);
        self.settled.store(0, Ordering::Relaxed);
        self.stamp
            .store(Stamp::new(0, about.made).to_bits(), Ordering::Relaxed);
        self.thread.store(0, Ordering::Relaxed);
        self.runtime.store(0, Ordering::Relaxed);
        let limit = about.origin.stalled_after().map_or(0, clock::steps_in);
        self.limit.store(limit, Ordering::Relaxed);
        // SAFETY: as asserted by the caller.
        self.about.with_mut(|place| unsafe { *place = Some(about) });
        self.refs.publish();
    }

    /// # Safety
    ///
    /// The caller has given back the last reference.
    unsafe fn reset(&self) {
        // SAFETY: as asserted by the caller.
        unsafe {
            self.about.with_mut(|place| *place = None);
            self.exchange.reset();
            self.frames.shrink();
        }
        self.frames.forget_gone();
    }

    pub(crate) fn about(&self) -> &About {
        // SAFETY: whoever has a `&Record` has a reference to it, so nobody writes. A `Glance` has
        // none, and does not call this.
        let about = self.about.with(|about| unsafe { &*about }.as_ref());
        about.unwrap_or(&NOBODY)
    }

    /// The beginning of a poll, in one of another task or not.
    ///
    /// The caller is the poller.
    #[inline]
    pub(super) fn note_poll(&self, is_nested: bool) {
        self.note_poll_at(Tick::now());
        let thread = Token::current().map_or(0, |token| token.0);
        let nested = if is_nested { NESTED } else { 0 };
        self.thread.store(thread | nested, Ordering::Relaxed);
    }

    #[inline]
    fn note_poll_at(&self, now: Tick) {
        let polls = self.polls.load(Ordering::Relaxed) + 1;
        self.polls.store(polls, Ordering::Relaxed);
        let stamp = Stamp::new(polls, now);
        self.stamp.store(stamp.to_bits(), Ordering::Relaxed);
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
        let polls = self.polls.load(Ordering::Relaxed);
        // Whoever reads it finds the frames as that poll has left them, or later.
        self.settled.store(polls, Ordering::Release);
    }

    /// The last poll that has ended and left the task suspended.
    pub(super) fn settled(&self) -> u64 {
        self.settled.load(Ordering::Acquire)
    }

    /// As [`note_settled`](Self::note_settled), of a poll that was for the sake of somebody who
    /// asks, and in which the task has not gone on: it has been waiting since `before`, and the
    /// frames in it as `times` has it.
    ///
    /// The caller is the poller.
    pub(super) fn note_settled_idle(&self, before: Stamp, times: Option<&Times>) {
        self.note_settled();
        // Whoever finds the task suspended, which is said after this, finds these times.
        if let Some(times) = times {
            self.frames.set_times(times);
        }
        let stamp = self.stamp().at_time_of(before);
        // Release: whoever sees it sees that the poll has ended, and does not take it for the
        // time at which it began.
        self.stamp.store(stamp.to_bits(), Ordering::Release);
    }

    /// Notes in which task of the executor it is polled. The first to know is right.
    #[inline]
    pub(super) fn note_job(&self, job: impl FnOnce() -> Option<Job>) {
        if Job::ARE_KNOWN {
            self.about().job.get_or_init(|| {
                let job = job();
                let runtime = job.map_or(0, Job::runtime_number);
                self.runtime.store(runtime, Ordering::Relaxed);
                job
            });
        }
    }

    /// The [`Token`] of the thread that has begun the last poll.
    pub(super) fn last_thread(&self) -> u32 {
        self.thread.load(Ordering::Relaxed)
    }

    pub(super) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Whether it has ended, is being polled or waits to be, and since when.
    ///
    /// Also without a reference to the record: then it may be of a task that is not there any more,
    /// or of two.
    pub(super) fn sight(&self) -> Sight {
        let settled = self.settled();
        match self.exchange.phase() {
            Phase::Finished => Sight::Finished,
            Phase::NeverPolled => Sight::New {
                made: self.stamp().tick(),
            },
            Phase::Polling => {
                // Of this poll or a later one, because of the phase. Acquire: if it is not the time
                // at which the poll began, then that has ended, and it is seen that it has.
                let stamp = Stamp::from_bits(self.stamp.load(Ordering::Acquire));
                match stamp.is_after(self.settled()) {
                    true => Sight::Running {
                        poll: stamp.poll(),
                        since: stamp.tick(),
                    },
                    false => Sight::Moving,
                }
            }
            Phase::Suspended => {
                // If it is of the poll that was settled, then it is that poll that has left the task
                // suspended, or a later one, and all that it has noted is seen.
                let stamp = self.stamp();
                match stamp.poll() == settled as u32 {
                    true => Sight::Resting {
                        poll: settled,
                        since: stamp.tick(),
                    },
                    false => Sight::Moving,
                }
            }
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

    pub(super) fn is_finished(&self) -> bool {
        self.exchange.phase() == Phase::Finished
    }

    pub(super) fn state(&self) -> TaskState {
        match self.exchange.phase() {
            Phase::Finished => TaskState::Finished,
            Phase::NeverPolled => TaskState::NeverPolled,
            Phase::Polling => {
                let token = self.executor().thread;
                let info = Token(token).info();
                TaskState::Running(Running {
                    thread_id: info.as_ref().map_or(0, |info| info.id),
                    thread_name: info.and_then(|info| info.name),
                    for_: self.stamp().tick().elapsed(),
                })
            }
            Phase::Suspended if self.exchange.is_asked() => TaskState::Woken,
            Phase::Suspended => TaskState::Suspended,
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
    job: OnceLock::new(),
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
    pub(crate) fn new(about: About) -> Self {
        Self(NonNull::from(pool::prepare(about)))
    }

    /// # Safety
    ///
    /// The record was retained for this, or is the caller's to publish.
    pub(super) unsafe fn from_retained(record: &'static Record) -> Self {
        Self(NonNull::from(record))
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
            unsafe {
                record.reset();
                pool::put_back(record);
            }
        }
    }
}

/// The poller's reference to the record. There is one for each task, it belongs to the future of
/// the task, and the task is finished when it is dropped.
pub(super) struct Owner(pub(super) RecordRef);

impl Owner {
    pub(super) fn finish(&self) {
        // Also those of a task that has resolved, and has been polled again.
        // SAFETY: whoever has the owner of a task is its poller.
        let wakers = unsafe { self.0.frames.clear() };
        if !self.0.is_finished() {
            // SAFETY: likewise.
            unsafe { self.0.exchange.finish() };
        }
        // Last, because the destructor of a waker is somebody else's code, and may panic.
        drop(wakers);
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.0.about().id)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(all(test, tasktrace_loom))]
mod model;
