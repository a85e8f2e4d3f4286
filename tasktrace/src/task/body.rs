//! A future that is polled as a task or a frame, whatever its type.
//!
//! What there is to a poll is done by functions that do not know the type, so that there is one of each,
//! and not one for every annotated function.

use std::future::Future;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future, without what it resolves to.
pub(super) trait Body {
    /// The root of the stacks of what is polled: the first function below the mark at which walks end,
    /// into which as much of the user's code is inlined as the compiler likes.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// A future that is polled once.
pub(super) struct Once<'a, F: Future> {
    future: Pin<&'a mut F>,
    /// Written when the future resolves. Leaked should that poll panic after all, as it may because to finish a
    /// task is to drop wakers, and somebody's destructor panics: to know whether it is there would take a
    /// fifth of each poll.
    output: MaybeUninit<F::Output>,
}

impl<F: Future> Body for Once<'_, F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.future.as_mut().poll(cx) {
            Poll::Ready(output) => {
                self.output.write(output);
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Polls a future by a function that knows it as a [`Body`], and returns `Ready` only if that has, and
/// is polled once at most.
///
/// # Safety
///
/// That is so.
#[inline]
pub(super) unsafe fn poll<F: Future>(
    future: Pin<&mut F>,
    by: impl FnOnce(&mut dyn Body) -> Poll<()>,
) -> Poll<F::Output> {
    let mut once = Once {
        future,
        output: MaybeUninit::uninit(),
    };
    match by(&mut once) {
        // SAFETY: as asserted by the caller, the future has resolved.
        Poll::Ready(()) => Poll::Ready(unsafe { once.output.assume_init() }),
        Poll::Pending => Poll::Pending,
    }
}
