//! Erases the type of a future that is polled as a task or a frame.
//!
//! The functions that poll do not know the type of the future, so that there is one copy of each, and not one for
//! every annotated function.

use std::future::Future;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future without the value that it resolves to.
pub(super) trait ErasedFuture {
    /// Polls the future.
    ///
    /// An implementation is the root of the stack of a poll: the first function below the mark at which stack walks
    /// end. The compiler may inline into it as much of the user's code as it likes.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Returns the address of the future, which is pinned.
    #[cfg(feature = "inspect")]
    fn address(&self) -> *const ();
}

/// A future that is polled once, and the place for its output.
pub(super) struct PollOnce<'a, F: Future> {
    future: Pin<&'a mut F>,
    /// The output, written when the future resolves.
    ///
    /// It is leaked if the surrounding poll panics after that, which is possible: finishing a task drops wakers, and
    /// a destructor may panic. To know whether the output was written would cost a fifth of each poll.
    output: MaybeUninit<F::Output>,
}

impl<F: Future> ErasedFuture for PollOnce<'_, F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.future.as_mut().poll(cx) {
            Poll::Ready(output) => {
                self.output.write(output);
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }

    #[cfg(feature = "inspect")]
    fn address(&self) -> *const () {
        std::ptr::from_ref(&*self.future).cast()
    }
}

/// Polls `future` through `run_poll`, which knows it as an [`ErasedFuture`].
///
/// # Safety
///
/// The caller must pass a `run_poll` that polls its argument once at most, and returns `Ready` only if that poll has.
#[inline]
pub(super) unsafe fn poll_erased<F: Future>(
    future: Pin<&mut F>,
    run_poll: impl FnOnce(&mut dyn ErasedFuture) -> Poll<()>,
) -> Poll<F::Output> {
    let mut poll_once = PollOnce {
        future,
        output: MaybeUninit::uninit(),
    };
    match run_poll(&mut poll_once) {
        // SAFETY: by the contract of this function, `run_poll` returns `Ready` only if the poll of `poll_once` has.
        // Then `PollOnce::poll` has written the output.
        Poll::Ready(()) => Poll::Ready(unsafe { poll_once.output.assume_init() }),
        Poll::Pending => Poll::Pending,
    }
}
