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
use super::name::{Name, NameRef};
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
        framed: Framed<F, Name>,
    }
}

impl<F: Future> TracedFuture<F> {
    pub(crate) fn new(identity: Identity, future: F) -> Self {
        Self {
            framed: Framed::new(Name::new(identity), future),
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

/// What a frame is known by.
pub(crate) trait Named {
    /// For as long as it is borrowed.
    fn name(&self) -> NameRef<'_>;
}

impl Named for Name {
    fn name(&self) -> NameRef<'_> {
        self.get()
    }
}

/// A future with a frame, or one that is a task. In every annotated call, so there is as little to it as
/// can be.
#[must_use = "futures do nothing unless polled"]
pub struct Framed<F, N> {
    future: F,
    name: N,
    // The last field: the task, or the frame, is finished when the future has been dropped.
    frame: FrameOwner,
}

// `future` is pinned with it, and neither moved nor replaced; the others are not pinned.
impl<F: Unpin, N> Unpin for Framed<F, N> {}

// A function that is annotated may return a future of which its callers know that it has this.
impl<F: fmt::Debug, N: Named> fmt::Debug for Framed<F, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show("Framed", self, f)
    }
}

fn show<F: fmt::Debug, N: Named>(
    name: &str,
    framed: &Framed<F, N>,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.debug_struct(name)
        .field("future", &framed.future)
        .field("origin", &framed.name.name().get().origin())
        .field("frame", &framed.frame)
        .finish()
}

impl<F, N> Framed<F, N> {
    #[inline]
    pub(crate) const fn new(name: N, future: F) -> Self {
        Self {
            future,
            name,
            frame: FrameOwner::new(),
        }
    }
}

impl<F: Future, N: Named> Future for Framed<F, N> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out of it: see `Unpin`.
        let Self {
            future,
            name,
            frame,
        } = unsafe { self.get_unchecked_mut() };
        // SAFETY: it is pinned with it.
        let future = unsafe { Pin::new_unchecked(future) };
        let name = name.name();
        // SAFETY: `enter` polls it once at most, and returns what that has.
        unsafe { body::poll(future, |body| drive::enter(frame.head(), name, body, cx)) }
    }
}
