//! Polls futures by hand, so that a test decides when each poll happens.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// The time after which a test gives up waiting for an event.
///
/// It is far longer than any event takes, and finite, so that a test that hangs fails.
pub const LONG: Duration = Duration::from_secs(120);

/// Polls `future` once, with a waker that does nothing.
pub fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls `future` once, and asserts that it is suspended.
///
/// # Panics
///
/// If the future resolves.
#[track_caller]
pub fn suspend<F: Future + ?Sized>(future: Pin<&mut F>) {
    assert!(poll(future).is_pending(), "the future resolved");
}

/// Waits until `condition` returns `true`.
///
/// # Panics
///
/// After [`LONG`].
#[track_caller]
pub fn wait_until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "waited for too long");
        std::thread::yield_now();
    }
}

/// A waker that counts its wakes.
#[derive(Debug, Default)]
pub struct Wakes(AtomicUsize);

impl Wakes {
    /// Returns the number of wakes until now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// An executor for one future: it polls when the test calls [`poll`](Self::poll), and counts wakes.
#[derive(Debug)]
pub struct Driver<F> {
    future: Pin<Box<F>>,
    /// The waker of every poll.
    pub wakes: Arc<Wakes>,
}

impl<F: Future> Driver<F> {
    /// Creates an executor for `future`, without polling it.
    pub fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            wakes: Arc::default(),
        }
    }

    /// Returns the future in the state that its last poll left.
    pub fn into_future(self) -> Pin<Box<F>> {
        self.future
    }

    /// Polls the future once.
    pub fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}
