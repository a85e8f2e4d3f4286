//! One poll of a task.

use std::any::Any;
use std::cell::OnceCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::exchange::{Phase, Request};
use super::{Owner, Task};
use crate::capture::{self, Scope};
use crate::origin::Origin;
use crate::trace::Trace;

/// Polls `future` as the body of a task.
///
/// `owner` is empty until the record of the task is needed; it is filled if that happens now.
pub(super) fn poll<F: Future>(
    owner: &mut Option<Owner>,
    origin: Origin,
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    match owner {
        Some(owner) => poll_recorded(owner, origin, future, cx),
        None => poll_unrecorded(owner, origin, future, cx),
    }
}

/// Polls a task that has a record.
pub(super) fn poll_recorded<F: Future>(
    owner: &Owner,
    origin: Origin,
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    let task = &*owner.0;
    if task.exchange.phase() == Phase::Finished {
        // Futures that are fused may be polled when they have resolved. The task stays finished.
        return enter(&owner.0, origin, |_| body(future, cx));
    }
    let on_panic = OnPanic(task);
    // SAFETY: whoever has the owner of a task is its poller.
    let request = unsafe { task.exchange.begin_poll(capture::real(cx.waker())) };
    let result = match request {
        Request::None => enter(&owner.0, origin, |_| body(future, cx)),
        Request::Capture => {
            let (result, raw) = enter(&owner.0, origin, |scope| {
                capture::capture(scope, cx, |cx| body(future, cx))
            });
            if result.is_pending() {
                task.exchange.answer(Trace::new(raw));
            }
            result
        }
    };
    match result {
        Poll::Pending => task.exchange.end_poll(),
        Poll::Ready(_) => owner.finish(),
    }
    on_panic.disarm();
    result
}

/// Answers whoever has asked, when a poll panics: the future, or a waker that it was handed.
struct OnPanic<'a>(&'a Task);

impl OnPanic<'_> {
    fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        self.0.exchange.panicked();
    }
}

/// Polls a task that nobody has asked for yet, so it has no record.
fn poll_unrecorded<F: Future>(
    owner: &mut Option<Owner>,
    origin: Origin,
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    /// Keeps the record, if the poll made one, also when it panics.
    struct Keep<'a> {
        slot: OnceCell<Arc<Task>>,
        owner: &'a mut Option<Owner>,
        panicked: bool,
    }

    impl Drop for Keep<'_> {
        fn drop(&mut self) {
            *self.owner = self.slot.take().map(Owner);
            if let (Some(owner), true) = (&self.owner, self.panicked) {
                owner.0.exchange.panicked();
            }
        }
    }

    let mut keep = Keep {
        slot: OnceCell::new(),
        owner,
        panicked: true,
    };
    let result = enter(&keep.slot, origin, |_| body(future, cx));
    keep.panicked = false;
    drop(keep);
    if let Some(owner) = owner {
        let on_panic = OnPanic(&owner.0);
        match result {
            // SAFETY: whoever has the owner of a task is its poller.
            Poll::Pending => unsafe {
                owner.0.exchange.end_first_poll(capture::real(cx.waker()));
            },
            Poll::Ready(_) => owner.finish(),
        }
        on_panic.disarm();
    }
    result
}

/// The record of the task that `scope` belongs to, made if there is none yet.
pub(super) fn record(scope: &Scope<'_>) -> Option<Arc<Task>> {
    let scope = scope.of_task();
    let task = scope.as_task()?;
    let unrecorded = || {
        let cell = task.downcast_ref::<OnceCell<Arc<Task>>>()?;
        Some(cell.get_or_init(|| {
            let task = Task::new(scope.origin());
            task.exchange.begin_first_poll();
            task
        }))
    };
    task.downcast_ref().or_else(unrecorded).cloned()
}

/// Whether `task` is being polled in `scope` or around it.
pub(super) fn is_inside(scope: &Scope<'_>, task: &Task) -> bool {
    scope.outwards().filter_map(Scope::as_task).any(|other| {
        let recorded = other.downcast_ref::<Arc<Task>>();
        let other = recorded.or_else(|| other.downcast_ref::<OnceCell<_>>()?.get());
        other.is_some_and(|other| std::ptr::eq(&**other, task))
    })
}

/// Calls `run` in the scope of a task: `task` is either its record, or the cell for it.
///
/// This function is the mark at which walks end. Not inlined, so that nothing of the user's is in
/// it, because it is not part of the walk.
#[inline(never)]
fn enter<R>(task: &dyn Any, origin: Origin, run: impl FnOnce(&Scope<'_>) -> R) -> R {
    let scope = Scope::task(task, origin);
    scope.enter(|| run(&scope))
}

/// The root of the stacks of a task: the first function below the mark, into which as much of the
/// user's code is inlined as the compiler likes.
#[inline(never)]
fn body<F: Future>(future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
    future.poll(cx)
}
