//! Counted references to records.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::Waker;

use super::about::Word;
use super::free::Unused;
use super::local::Local;
use super::poller::Poller;
use super::record::Record;
use super::{TaskId, foreign, pool};

/// A reference to a record with a task in it.
pub(crate) struct RecordRef(&'static Record);

// A panic in a poll is one of the things that may happen to a task, and is told to who asks.
impl UnwindSafe for RecordRef {}
impl RefUnwindSafe for RecordRef {}

impl RecordRef {
    /// To the record of a new task. `turn` is what its [`Turn`](super::turn::Turn) is before its first poll.
    #[inline]
    pub(super) fn new(local: Option<&Local>, about: Word, turn: u32) -> Self {
        let record = pool::take(local).into_record();
        // SAFETY: an `Unused` has its record to itself, and is gone.
        unsafe { record.prepare(TaskId::next(), about, turn) };
        Self(record)
    }

    /// # Safety
    ///
    /// There is a reference to the record that this is to give back.
    #[inline]
    pub(super) unsafe fn from_static(record: &'static Record) -> Self {
        Self(record)
    }

    /// The record, to which there is one reference more than there are of these.
    pub(super) fn into_static(self) -> &'static Record {
        ManuallyDrop::new(self).0
    }

    /// A reference to the task in this record, if there is one.
    pub(super) fn of_task_in(record: &'static Record) -> Option<Self> {
        record.refs.try_retain().then(|| Self(record))
    }

    /// A reference to the record of a task that is being polled.
    pub(super) fn of(poller: Poller<'_>) -> Self {
        // While there is a poller, the link of its task has a reference.
        poller.refs.retain();
        Self(poller.record())
    }

    /// The record, for as long as the caller has the reference.
    #[inline]
    pub(super) fn record(&self) -> &'static Record {
        self.0
    }

    /// Gives the reference back if it is the last. Returns what is to be dropped, or the reference.
    #[inline]
    pub(super) fn end_last(self) -> Result<Option<Waker>, Self> {
        match self.0.refs.release_last() {
            // SAFETY: `release_last` returned `true`, so this was the last reference, and it is given back.
            true => Ok(unsafe { recycle(self.into_static()) }),
            false => Err(self),
        }
    }
}

impl Clone for RecordRef {
    fn clone(&self) -> Self {
        self.0.refs.retain();
        Self(self.0)
    }
}

impl Deref for RecordRef {
    type Target = Record;

    #[inline]
    fn deref(&self) -> &Record {
        self.0
    }
}

impl Drop for RecordRef {
    fn drop(&mut self) {
        #[inline(never)]
        fn end(record: &'static Record) {
            // SAFETY: `release` returned `true` before this was called, so the last reference was given back.
            foreign::drop(unsafe { recycle(record) });
        }

        if self.0.refs.release() {
            end(self.0);
        }
    }
}

/// Keeps a record for another task. Returns what is to be dropped.
///
/// # Safety
///
/// The caller has given back the last reference.
#[inline]
unsafe fn recycle(record: &'static Record) -> Option<Waker> {
    // SAFETY: the caller asserts that it has given back the last reference. So nobody else uses the record, and after
    // `reset` there is no task in it.
    let (waker, unused) = unsafe { (record.reset(), Unused::new(record)) };
    pool::put_back(unused);
    waker
}

/// The tasks in the first `records_looked_at` records.
pub(super) fn first_tasks(records_looked_at: usize) -> impl Iterator<Item = RecordRef> {
    pool::records()
        .take(records_looked_at)
        .filter_map(RecordRef::of_task_in)
}

/// All tasks that have not finished, in the order of their numbers.
pub(super) fn unfinished() -> impl Iterator<Item = RecordRef> {
    let is_there = |record: &RecordRef| !record.is_finished() && !record.is_left_behind();
    // With their numbers, so that none is looked at to be compared.
    let tasks = tasks().filter(is_there).map(|task| (task.id(), task));
    let mut tasks: Vec<(TaskId, RecordRef)> = tasks.collect();
    tasks.sort_unstable_by_key(|(id, _)| *id);
    tasks.into_iter().map(|(_, task)| task)
}

/// All tasks whose records are in use: that are not finished, or have handles.
pub(super) fn tasks() -> impl Iterator<Item = RecordRef> {
    pool::records().filter_map(RecordRef::of_task_in)
}
