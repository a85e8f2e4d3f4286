//! A future with a frame of its own: what `#[traced]` makes of the body of a function, and
//! [`TracedExt::traced`] of any future.

use std::borrow::Cow;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::frame::{self, Head};
use super::{drive, scope};
use crate::origin::{Identity, Origin};

/// Names futures that are not functions of yours.
pub trait TracedExt: Future + Sized {
    /// Shows the future as a frame with this label, as [`#[traced]`](macro@crate::traced) shows a
    /// function: inside of a task it is a frame of it, outside of any it is a task of its own.
    ///
    /// The label and the frame cost an allocation each call.
    ///
    /// ```
    /// use tasktrace::TracedExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (future, handle) = tasktrace::traced(async {
    ///     std::future::pending::<()>().traced(format!("shard {}", 7)).await;
    /// });
    /// tokio::spawn(future);
    /// # tokio::task::yield_now().await;
    /// assert!(handle.snapshot().contains("shard 7"));
    /// # }
    /// ```
    #[track_caller]
    fn traced(self, label: impl Into<Cow<'static, str>>) -> TracedFuture<Self> {
        let origin = Origin::Call {
            future: std::any::type_name::<Self>(),
            location: Location::caller(),
        };
        let label = label.into();
        TracedFuture::new(Identity::new(origin, Some((*label).into()), None), self)
    }
}

impl<F: Future> TracedExt for F {}

pin_project! {
    /// A future that is a frame of the task that polls it, or a task of its own where there is
    /// none: see [`TracedExt::traced`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct TracedFuture<F> {
        #[pin]
        future: F,
        // The last field: the task, or the frame, is finished when the future has been dropped.
        head: Head,
    }
}

impl<F: Future> TracedFuture<F> {
    #[inline]
    pub(crate) fn new(identity: Identity, future: F) -> Self {
        Self {
            future,
            head: Head::new(identity),
        }
    }
}

impl<F: Future> Future for TracedFuture<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if !scope::is_in_task() {
            return drive::enter(this.head.link(), Some(this.head), this.future, cx);
        }
        // Whoever has a handle to it as a task keeps it as one, wherever it is polled.
        if this.head.link().is_task() {
            return drive::poll(this.head.link(), false, this.future, cx);
        }
        frame::poll(this.head, this.future, cx)
    }
}
