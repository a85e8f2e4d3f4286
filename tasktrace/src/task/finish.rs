//! The end of a task: its future has resolved, or was dropped.

use std::task::Waker;

use super::link::Link;
use super::poller::Poller;
use super::reference::RecordRef;
use super::{foreign, witness};

/// Finishes the task of a future that is being dropped, if it is one and has not finished.
#[inline]
pub(super) fn finish_dropped(link: &mut Link) {
    // SAFETY: who has a mutable reference to the link drops the future, and nobody else refers to the link.
    unsafe { finish(link) };
}

/// Finishes the task of this link, if it is one and has not finished.
///
/// # Safety
///
/// The caller polls or drops the future of the link, and nobody uses a [`Poller`] or the record of it any more.
#[inline]
pub(super) unsafe fn finish(link: &Link) {
    // SAFETY: the caller asserts that it polls or drops the future, and that nobody uses a poller or the record any more. That
    // is what `take_task` demands.
    if let Some(task) = unsafe { link.take_task() } {
        finish_task(task);
    }
}

/// Finishes a task that was taken from its link.
#[inline(never)]
fn finish_task(task: RecordRef) {
    // SAFETY: who has taken the task from its link polls or drops its future, and ends the use of this here.
    let frame_wakers = unsafe { Poller::new(task.record()) }.clear_frames();
    // Most often nobody else has a reference. Then there is nobody to tell.
    let waker = task.end_last().unwrap_or_else(tell);
    if let Some(waker) = waker {
        foreign::drop([waker]);
    }
    // Last, because the destructor of a waker is somebody else's code.
    if let Some(wakers) = frame_wakers {
        foreign::drop(wakers.into_values());
    }
}

/// Tells those who have other references. Returns what is to be dropped.
#[cold]
#[inline(never)]
fn tell(task: RecordRef) -> Option<Waker> {
    // SAFETY: `task` is the reference that was taken from the link, so its owner alone polls or drops the future. The poller
    // is used for this call only.
    let waker = unsafe { Poller::new(task.record()) }.finish();
    witness::finish(&task);
    waker
}
