//! The end of a task: its future has resolved, or was dropped.

use std::collections::BTreeMap;

use super::link::Link;
use super::record::Record;
use super::reference::{self, RecordRef};
use super::{foreign, witness};

/// The task of this link finishes, if it is one and has not before.
#[inline]
pub(super) fn finish(link: &Link) {
    if let Some(record) = link.take_task() {
        // SAFETY: the link was the owner of the task, and is not any more.
        unsafe { finish_record(record) };
    }
}

/// Finishes a task, and gives back the poller's reference to its record.
///
/// # Safety
///
/// The caller has the owner, and does not use it any more.
#[inline(never)]
unsafe fn finish_record(record: &'static Record) {
    if record.frames().any_used() {
        // SAFETY: whoever has the owner of a task is its poller.
        let wakers = unsafe { record.frames().clear() };
        // SAFETY: as asserted by the caller.
        unsafe { give_back(record) };
        // Last, because the destructor of a waker is somebody else's code, and may panic.
        foreign::drop(wakers.into_iter().flat_map(BTreeMap::into_values));
    } else {
        // SAFETY: as asserted by the caller.
        unsafe { give_back(record) };
    }
}

/// # Safety
///
/// As of [`finish_record`]. There are no frames any more.
#[inline(always)]
unsafe fn give_back(record: &'static Record) {
    // Most often nobody else has a reference. Then there is nobody to tell.
    if record.refs.release_last() {
        // SAFETY: it was the last reference.
        foreign::drop(unsafe { reference::recycle(record) });
    } else {
        // SAFETY: as asserted by the caller.
        unsafe { tell(record) };
    }
}

/// # Safety
///
/// As of [`finish_record`].
#[cold]
#[inline(never)]
unsafe fn tell(record: &'static Record) {
    // SAFETY: as asserted by the caller: the reference is given back when this is dropped.
    let reference = unsafe { RecordRef::from_retained(record) };
    // SAFETY: whoever has the owner of a task is its poller.
    let waker = unsafe { record.exchange().finish() };
    witness::finish(record);
    drop(reference);
    // Last, as above.
    foreign::drop(waker);
}
