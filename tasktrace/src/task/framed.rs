//! Defines futures with a frame of their own: `#[traced]` makes one of a function's body, and [`TracedExt::traced`]
//! of any future.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::frame::FrameOwner;
use super::{erased_future, poll};
use crate::origin::{Identity, Origin};

/// Adds labels to futures that do not come from functions of your own.
pub trait TracedExt: Future + Sized {
    /// Shows the future as a frame with this label, as [`#[traced]`](macro@crate::traced) shows a function. Inside a
    /// task, it is a frame of that task. Outside any task, it is a task of its own.
    ///
    /// Each call allocates the label and the frame.
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
    /// A future that is a frame of the task that polls it, or a task of its own outside any task. Returned by
    /// [`TracedExt::traced`].
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
        fmt_framed("TracedFuture", &self.framed, f)
    }
}

/// Gives access to the identity of a frame.
pub(crate) trait HasIdentity {
    fn identity(&self) -> &Identity;
}

impl HasIdentity for Identity {
    fn identity(&self) -> &Identity {
        self
    }
}

pin_project! {
    /// A future with a frame, which may be a task. Part of every annotated call, so it is as small as possible.
    #[must_use = "futures do nothing unless polled"]
    pub struct Framed<F, I> {
        #[pin]
        future: F,
        identity: I,
        // The last field, so that the frame or the task ends after the future has been dropped.
        frame: FrameOwner,
    }
}

// An annotated function may return a future that its callers know to be `Debug`.
impl<F: fmt::Debug, I: HasIdentity> fmt::Debug for Framed<F, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_framed("Framed", self, f)
    }
}

fn fmt_framed<F: fmt::Debug, I: HasIdentity>(
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
        let (state, identity) = (this.frame.state(), this.identity.identity());
        // SAFETY: `poll_traced` polls the erased future once at most, and returns `Ready` only if that poll has: see
        // `poll`, "How often a future is polled".
        unsafe {
            erased_future::poll_erased(this.future, |future| {
                poll::poll_traced(state, identity, future, cx)
            })
        }
    }
}
