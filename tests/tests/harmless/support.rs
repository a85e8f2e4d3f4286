//! Helpers that poll a task by hand, so that a test decides the order of events.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tasktrace::{Trace, TraceError, TraceHandle, TracedTask};

pub(crate) use tasktrace_tests::by_hand::{Driver, LONG, Wakes, wait_until};

/// Returns a driver of the traced future, and its handle.
pub(crate) fn task<F: Future>(future: F) -> (Driver<TracedTask<F>>, TraceHandle) {
    let (task, handle) = tasktrace::traced(future);
    (Driver::new(task), handle)
}

/// Starts a request for a trace, and returns it as a future that is polled by hand.
pub(crate) fn start_request(
    handle: &TraceHandle,
) -> Driver<impl Future<Output = Option<Trace>> + use<>> {
    let handle = handle.clone();
    let mut request = Driver::new(async move { handle.backtrace().await });
    assert!(
        request.poll().is_pending(),
        "the task cannot have answered yet"
    );
    request
}

/// Requests a trace on a new thread, and returns when the task has been woken for the request.
pub(crate) fn request_on_thread(
    handle: &TraceHandle,
    wakes: &Wakes,
) -> std::thread::JoinHandle<Result<Trace, TraceError>> {
    let before = wakes.count();
    let handle = handle.clone();
    let request = std::thread::spawn(move || handle.backtrace_timeout(LONG));
    wait_until(|| wakes.count() > before);
    request
}

/// The state of a [`Leaf`], shared with the test.
#[derive(Default)]
pub(crate) struct LeafState {
    polls: AtomicUsize,
    captures: AtomicUsize,
    waker: Mutex<Option<Waker>>,
    ready: AtomicUsize,
}

impl LeafState {
    pub(crate) fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }

    /// Returns the number of polls that were captures.
    pub(crate) fn captures(&self) -> usize {
        self.captures.load(Ordering::SeqCst)
    }

    /// Lets the leaf resolve, and wakes the waker that it registered.
    pub(crate) fn finish(&self) {
        self.ready.store(1, Ordering::SeqCst);
        let waker = self.waker.lock().unwrap().take();
        waker.expect("a leaf that waits has a waker").wake();
    }
}

/// A leaf future that counts its polls, and waits until [`LeafState::finish`].
pub(crate) struct Leaf(pub(crate) Arc<LeafState>);

impl Leaf {
    pub(crate) fn new() -> (Self, Arc<LeafState>) {
        let seen = Arc::<LeafState>::default();
        (Self(Arc::clone(&seen)), seen)
    }
}

impl Future for Leaf {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let seen = &self.0;
        seen.polls.fetch_add(1, Ordering::SeqCst);
        let waker = cx.waker().clone();
        if is_captured(cx, &waker) {
            seen.captures.fetch_add(1, Ordering::SeqCst);
        }
        *seen.waker.lock().unwrap() = Some(waker);
        match seen.ready.load(Ordering::SeqCst) {
            0 => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }
}

/// Returns `true` if the poll is a capture, in which `cx` has a stand-in for the real waker, and `clone` is a clone of
/// the real one.
///
/// `Waker::will_wake` would not tell: it can also be false because the compiler duplicated a vtable.
pub(crate) fn is_captured(cx: &Context<'_>, clone: &Waker) -> bool {
    clone.data() != cx.waker().data()
}

/// Polls `future` on this thread until it resolves.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    pollster::block_on(pin!(future))
}
