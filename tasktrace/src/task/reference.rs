//! Counted references to records.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::task::Waker;

use super::about::Word;
use super::local::Local;
use super::record::Record;
use super::{TaskId, foreign, pool};

/// A reference to a record with a task in it.
pub(crate) struct RecordRef(NonNull<Record>);

// SAFETY: `Record` is `Sync`, the count of references is atomic, and the memory of a record is never freed. So any thread may
// use the reference and give it back.
unsafe impl Send for RecordRef {}
// SAFETY: a shared reference to it gives shared references to the record, which is `Sync`, and more counted ones.
unsafe impl Sync for RecordRef {}

// A panic in a poll is one of the things that may happen to a task, and is told to who asks.
impl UnwindSafe for RecordRef {}
impl RefUnwindSafe for RecordRef {}

impl RecordRef {
    /// To the record of a new task. `turn` is what its [`Turn`](super::turn::Turn) is before its first poll.
    #[inline(always)]
    pub(super) fn new(local: Option<&Local>, about: Word, turn: u32) -> Self {
        Self(NonNull::from(pool::prepare(local, about, turn)))
    }

    /// # Safety
    ///
    /// There is a reference to the record that this is to give back.
    pub(super) unsafe fn from_retained(record: &'static Record) -> Self {
        Self(NonNull::from(record))
    }

    /// The record, to which there is one reference more than there are of these.
    pub(super) fn into_static(self) -> &'static Record {
        let reference = ManuallyDrop::new(self);
        // SAFETY: the pointer was made of a `&Record`, and the pool frees no record.
        unsafe { reference.0.as_ref() }
    }

    /// A reference to the task in this record, if there is one.
    pub(super) fn of_task_in(record: &'static Record) -> Option<Self> {
        let is_retained = record.refs.try_retain();
        is_retained.then(|| Self(NonNull::from(record)))
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
        // SAFETY: the pointer was made of a `&Record`, and the pool frees no record. This counts as a reference, so the record
        // is not used for another task meanwhile.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for RecordRef {
    fn drop(&mut self) {
        /// # Safety
        ///
        /// The caller has given back the last reference.
        #[inline(never)]
        unsafe fn end(record: &'static Record) {
            // SAFETY: the caller has given back the last reference, which is all that `recycle` demands.
            foreign::drop(unsafe { recycle(record) });
        }

        if self.refs.release() {
            // SAFETY: `release` has returned `true`, so this was the last reference. The pool frees no record, so the pointer is
            // to one still.
            unsafe { end(self.0.as_ref()) };
        }
    }
}

/// Keeps a record for another task. Returns what is to be dropped.
///
/// # Safety
///
/// The caller has given back the last reference.
#[inline(always)]
pub(super) unsafe fn recycle(record: &'static Record) -> Option<Waker> {
    // SAFETY: the caller has given back the last reference, so nobody else uses the record. It is reset before the pool has
    // it.
    unsafe {
        let waker = record.reset();
        pool::put_back(record);
        waker
    }
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
