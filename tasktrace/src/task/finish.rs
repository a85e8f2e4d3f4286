//! The end of a task: its future has resolved, or was dropped.

use std::collections::BTreeMap;
use std::task::Waker;

use super::link::Link;
use super::poller::Poller;
use super::record::Record;
use super::reference::{self, RecordRef};
use super::{foreign, witness};

/// The task of this link finishes, if it is one and has not before.
///
/// # Safety
///
/// The caller polls or drops the future of the link, and nobody uses a [`Poller`] of it any more.
#[inline]
pub(super) unsafe fn finish(link: &Link) {
    // SAFETY: as asserted by the caller. So it has the reference that the link has owned.
    unsafe {
        if let Some(record) = link.take_task() {
            finish_record(record);
        }
    }
}

/// Finishes a task, and gives back the reference of its link.
///
/// # Safety
///
/// The caller has that reference, and alone polls or drops the future.
#[inline(never)]
unsafe fn finish_record(record: &'static Record) {
    // SAFETY: as asserted by the caller.
    let poller = unsafe { Poller::new(record) };
    if poller.has_had_frames() {
        let wakers = poller.clear_frames();
        // SAFETY: the caller has the reference of the link, and the frames have been cleared.
        unsafe { give_back(record) };
        // Last, because the destructor of a waker is somebody else's code.
        foreign::drop(wakers.into_iter().flat_map(BTreeMap::into_values));
    } else {
        // SAFETY: the caller has the reference of the link, and no frame was ever used.
        unsafe { give_back(record) };
    }
}

/// # Safety
///
/// As of [`finish_record`]. There are no frames any more.
#[inline(always)]
unsafe fn give_back(record: &'static Record) {
    // Most often nobody else has a reference. Then there is nobody to tell.
    let waker = match record.refs.release_last() {
        // SAFETY: `release_last` has returned `true`, so this was the last reference.
        true => unsafe { reference::recycle(record) },
        // SAFETY: `release_last` has returned `false`, so the caller has its reference still.
        false => unsafe { tell(record) },
    };
    if let Some(waker) = waker {
        foreign::drop([waker]);
    }
}

/// Returns what is to be dropped.
///
/// # Safety
///
/// As of [`finish_record`].
#[cold]
#[inline(never)]
unsafe fn tell(record: &'static Record) -> Option<Waker> {
    // SAFETY: as asserted by the caller. The reference is given back when this is dropped, which is the end of the use of
    // the poller.
    let (reference, poller) = unsafe { (RecordRef::from_retained(record), Poller::new(record)) };
    let waker = poller.finish();
    witness::finish(record);
    drop(reference);
    waker
}
