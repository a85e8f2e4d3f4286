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
    // SAFETY: `finish` demands that the caller drops the future, and that nothing made from the registration is in
    // use. A mutable reference to the registration is had only by the owner of the future that drops it. As it is
    // exclusive, no `Poller` or header borrowed from the registration is alive.
    unsafe { finish(registration) };
}

/// Finishes the task of this registration. Does nothing if the future is no task, or one that has finished.
///
/// # Safety
///
/// The caller polls or drops the future of the registration, and no [`Poller`] or header obtained from the
/// registration is used any more.
#[inline]
pub(super) unsafe fn finish(registration: &Registration) {
    // SAFETY: the contract of `take_task` is the contract of this function.
    if let Some(task) = unsafe { registration.take_task() } {
        finish_task(task);
    }
}

/// Finishes a task that was taken from its registration.
#[inline(never)]
fn finish_task(task: TaskRef) {
    // SAFETY: only `finish` calls this function, and its caller polls or drops the future. `task` has just been taken
    // from the registration, so no other poller can be made, and by the contract of `finish` none is left. This one
    // is dropped at the end of the statement, before the task finishes below.
    let frame_wakers = unsafe { Poller::new(task.header()) }.clear_frames();
    // Most often there is no other reference, and so no requester or reader to tell.
    let waker = task.release_if_last().unwrap_or_else(finish_shared);
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
#[cold]
#[inline(never)]
fn finish_shared(task: TaskRef) -> Option<Waker> {
    // SAFETY: only `finish_task` calls this function, whose caller polls or drops the future of the task. `task` was
    // taken from the registration, so no other poller can be made. This one is used for this call only.
    let waker = unsafe { Poller::new(task.header()) }.finish();
    runtimes::note_finished(&task);
    waker
}
