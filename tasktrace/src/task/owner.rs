//! The poller's reference to a record.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr;

use super::record::{About, Record, RecordRef};
use crate::host::Job;
use crate::origin::Identity;

/// Belongs to the future of a task. There is one for each, and whoever has it mutably is the poller.
///
/// It has no record before the future is polled as a task, and none after the task has finished:
/// when the future has resolved, or when this is dropped.
pub(super) struct Owner {
    /// Null before there is a record; [`FINISHED`] after.
    record: *const Record,
}

/// The address of no record.
const FINISHED: usize = 1;

// SAFETY: it is a counted reference to what is `Sync`, in memory that is never freed.
unsafe impl Send for Owner {}
// SAFETY: likewise.
unsafe impl Sync for Owner {}

// A panic in a poll is one of the things that may happen to a task, and is told to who asks.
impl UnwindSafe for Owner {}
impl RefUnwindSafe for Owner {}

impl Owner {
    /// Of a future that is no task yet.
    pub(super) const fn none() -> Self {
        Self {
            record: ptr::null(),
        }
    }

    pub(super) fn new(about: About) -> Self {
        let mut owner = Self::none();
        owner.set(RecordRef::new(about));
        owner
    }

    fn set(&mut self, record: RecordRef) {
        self.record = record.into_static();
    }

    /// Whether the future has never been polled as a task.
    #[inline]
    pub(super) fn is_none(&self) -> bool {
        self.record.is_null()
    }

    #[inline]
    pub(super) fn record(&self) -> Option<&'static Record> {
        // SAFETY: any other address is that of a record, and those are never freed.
        (self.record.addr() > FINISHED).then(|| unsafe { &*self.record })
    }

    /// Makes a record for the task that a frame of this identity is, whose first poll, outside of any
    /// other task, has just begun. `None` if the task has finished.
    #[inline(never)]
    pub(super) fn make(&mut self, identity: Option<&Identity>) -> Option<&'static Record> {
        if !self.is_none() {
            return None;
        }
        self.set(RecordRef::new(About::of_identity(identity?)));
        let record = self.record()?;
        record.note_thread(false);
        record.note_job(Job::current);
        Some(record)
    }

    /// The task finishes, if it has not before.
    #[inline]
    pub(super) fn finish(&mut self) {
        if let Some(record) = self.record() {
            self.record = ptr::without_provenance(FINISHED);
            // SAFETY: this was the owner.
            unsafe { finish(record) };
        }
    }
}

/// Finishes a task, and gives back the poller's reference to its record.
///
/// # Safety
///
/// The caller has the owner, and does not use it any more.
#[inline(never)]
unsafe fn finish(record: &'static Record) {
    // SAFETY: whoever has the owner of a task is its poller.
    let wakers = unsafe { record.frames.clear() };
    // Most often nobody else has a reference. Then there is nobody to tell.
    if record.refs.release_last() {
        // SAFETY: it was the last reference.
        let waker = unsafe { record.recycle() };
        // Last, because the destructor of a waker is somebody else's code, and may panic.
        drop((wakers, waker));
        return;
    }
    // SAFETY: as asserted by the caller: the reference is given back when this is dropped.
    let reference = unsafe { RecordRef::from_retained(record) };
    // SAFETY: as above.
    let waker = unsafe { record.exchange.finish() };
    drop(reference);
    drop((wakers, waker));
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.record() {
            Some(record) => write!(f, "task {}", record.about().id),
            None if self.is_none() => f.write_str("no task"),
            None => f.write_str("finished"),
        }
    }
}

impl Drop for Owner {
    #[inline]
    fn drop(&mut self) {
        self.finish();
    }
}
