//! A future with a frame of its own: what `#[traced]` makes of the body of a function, and
//! [`TracedExt::traced`] of any future.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::frame::FrameOwner;
use super::{body, drive};
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
    #[must_use = "futures do nothing unless polled"]
    pub struct TracedFuture<F> {
        #[pin]
        framed: Framed<F, Identity>,
    }
}

impl<F: Future> TracedFuture<F> {
    pub(crate) fn new(identity: Identity, future: F) -> Self {
        Self {
            framed: Framed::new(identity, future),
        }
    }
}

impl<F: Future> Future for TracedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().framed.poll(cx)
    }
}

impl<F: fmt::Debug> fmt::Debug for TracedFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show("TracedFuture", &self.framed, f)
    }
}

/// What has the identity of a frame, or leads to it.
pub(crate) trait HasIdentity {
    fn identity(&self) -> &Identity;
}

impl HasIdentity for Identity {
    fn identity(&self) -> &Identity {
        self
    }
}

pin_project! {
    /// A future with a frame, or one that is a task. In every annotated call, so there is as little to it as can be.
    #[must_use = "futures do nothing unless polled"]
    pub struct Framed<F, I> {
        #[pin]
        future: F,
        identity: I,
        // The last field: the task, or the frame, is finished when the future has been dropped.
        frame: FrameOwner,
    }
}

// A function that is annotated may return a future of which its callers know that it has this.
impl<F: fmt::Debug, I: HasIdentity> fmt::Debug for Framed<F, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show("Framed", self, f)
    }
}

fn show<F: fmt::Debug, I: HasIdentity>(
    name: &str,
    framed: &Framed<F, I>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.debug_struct(name)
        .field("future", &framed.future)
        .field("origin", &framed.identity.identity().origin())
        .field("frame", &framed.frame)
        .finish()
}

impl<F, I> Framed<F, I> {
    #[inline]
    pub(crate) const fn new(identity: I, future: F) -> Self {
        Self {
            future,
            identity,
            frame: FrameOwner::new(),
        }
    }
}

impl<F: Future, I: HasIdentity> Future for Framed<F, I> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (head, identity) = (this.frame.head(), this.identity.identity());
        // SAFETY: `enter` polls it once at most, and returns what that has.
        unsafe { body::poll(this.future, |body| drive::enter(head, identity, body, cx)) }
    }
}
