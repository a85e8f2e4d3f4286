//! Finishes tasks whose future has resolved or was dropped.

use std::task::Waker;

use super::poller::Poller;
use super::registration::Registration;
use super::task_ref::TaskRef;
use super::{foreign, runtimes};

/// Finishes the task of a future that is being dropped. Does nothing if the future is no task, or one that has
/// finished.
#[inline]
pub(super) fn finish_dropped(registration: &mut Registration) {
    // SAFETY: `finish` demands that the caller drops the future, and that nothing made from the registration is in use.
    // `&mut` excludes every `Poller` and header borrowed from the registration, and both callers (`TaskOwner::drop`,
    // `FrameState::end_dropped`) run in the destructor of the future.
    unsafe { finish(registration) };
}

/// Finishes the task of this registration. Does nothing if the future is no task, or one that has finished.
///
/// # Safety
///
/// The caller must poll or drop the future of the registration, and must no longer use a [`Poller`] or header obtained
/// from the registration.
#[inline]
pub(super) unsafe fn finish(registration: &Registration) {
    // SAFETY: `take_task` demands what the `# Safety` section of this function says, and the caller upholds it.
    if let Some(task) = unsafe { registration.take_task() } {
        // SAFETY: the caller polls or drops the future, as this function requires. `task` has just been taken from the
        // registration, so no other poller can be made, and by the contract of this function none is left.
        unsafe { finish_task(task) };
    }
}

/// Finishes a task that was taken from its registration.
///
/// # Safety
///
/// The caller must poll or drop the future of the task, and must have taken `task` from its registration. No [`Poller`]
/// of the task may be in use.
#[inline(never)]
unsafe fn finish_task(task: TaskRef) {
    // SAFETY: the `# Safety` section says that the caller polls or drops the future, and that this is the only poller.
    // It is dropped at the end of the statement, before the task finishes below.
    let frame_wakers = unsafe { Poller::new(task.header()) }.clear_frames();
    // Most often there is no other reference, and so no requester or reader to tell.
    let waker = task.release_if_last().unwrap_or_else(|task| {
        // SAFETY: the `# Safety` section of `finish_shared` is that of this function, whose caller upholds it, and the
        // poller above was dropped.
        unsafe { finish_shared(task) }
    });
    if let Some(waker) = waker {
        foreign::drop([waker]);
    }
    // Last, because the destructor of a waker is foreign code.
    if let Some(wakers) = frame_wakers {
        foreign::drop(wakers.into_values());
    }
}

/// Finishes a task to which there are other references: tells their owners. Returns the waker of the task, to be
/// dropped.
///
/// # Safety
///
/// The caller must poll or drop the future of the task, and must have taken `task` from its registration. No [`Poller`]
/// of the task may be in use.
#[cold]
#[inline(never)]
unsafe fn finish_shared(task: TaskRef) -> Option<Waker> {
    // SAFETY: the `# Safety` section says that the caller polls or drops the future, and that this is the only poller.
    // It is dropped at the end of the statement, in which the task finishes.
    let waker = unsafe { Poller::new(task.header()) }.finish();
    runtimes::note_finished(&task);
    waker
}
