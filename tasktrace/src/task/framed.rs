//! The futures that the attributes wrap around the body of a function.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::{Owner, drive};
use crate::capture::{self, Scope};
use crate::origin::{FrameMeta, Origin};

pin_project! {
    /// The body of a `#[traced]` function: a frame of the task that polls it, or a task of its own
    /// where there is none.
    ///
    /// As a task it has no record, and so costs no allocation, until somebody asks for a handle.
    #[derive(Debug)]
    pub struct FrameFuture<F> {
        #[pin]
        future: F,
        meta: &'static FrameMeta,
        // The last field: the task is finished when the future has been dropped.
        owner: Option<Owner>,
    }
}

pin_project! {
    /// The body of a `main` or a `test` function: always a task of its own.
    #[derive(Debug)]
    pub struct TaskFuture<F> {
        #[pin]
        future: F,
        meta: &'static FrameMeta,
        // The last field: the task is finished when the future has been dropped.
        owner: Option<Owner>,
    }
}

impl<F: Future> FrameFuture<F> {
    pub(crate) fn new(meta: &'static FrameMeta, future: F) -> Self {
        Self {
            future,
            meta,
            owner: None,
        }
    }
}

impl<F: Future> TaskFuture<F> {
    pub(crate) fn new(meta: &'static FrameMeta, future: F) -> Self {
        Self {
            future,
            meta,
            owner: None,
        }
    }
}

impl<F: Future> Future for FrameFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let origin = Origin::Function(this.meta);
        // Whoever has a handle to it as a task keeps it as one, wherever it is polled.
        match Scope::frame(origin) {
            Some(scope) if this.owner.is_none() => {
                scope.enter(|| capture::watch_for_silence(&scope, cx, |cx| this.future.poll(cx)))
            }
            _ => drive::poll(this.owner, origin, this.future, cx),
        }
    }
}

impl<F: Future> Future for TaskFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        drive::poll(this.owner, Origin::Function(this.meta), this.future, cx)
    }
}
