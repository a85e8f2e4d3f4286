//! A task that is polled by hand, so that a test decides what happens when.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tasktrace::{Trace, TraceError, TraceHandle, TracedTask};

pub(crate) use tasktrace_tests::by_hand::{Driver, LONG, Wakes, wait_until};

/// A traced future with its handle, driven by hand.
pub(crate) fn task<F: Future>(future: F) -> (Driver<TracedTask<F>>, TraceHandle) {
    let (task, handle) = tasktrace::traced(future);
    (Driver::new(task), handle)
}

/// A request that is polled by hand.
pub(crate) fn ask(handle: &TraceHandle) -> Driver<impl Future<Output = Option<Trace>> + use<>> {
    let handle = handle.clone();
    let mut asked = Driver::new(async move { handle.backtrace().await });
    assert!(asked.poll().is_pending(), "nobody can have answered yet");
    asked
}

/// Asks from a thread of its own, and returns when the question has arrived.
pub(crate) fn ask_from_thread(
    handle: &TraceHandle,
    wakes: &Wakes,
) -> std::thread::JoinHandle<Result<Trace, TraceError>> {
    let before = wakes.count();
    let handle = handle.clone();
    let asker = std::thread::spawn(move || handle.backtrace_timeout(LONG));
    wait_until(|| wakes.count() > before);
    asker
}

/// What a [`Leaf`] has seen.
#[derive(Default)]
pub(crate) struct Seen {
    polls: AtomicUsize,
    captures: AtomicUsize,
    waker: Mutex<Option<Waker>>,
    ready: AtomicUsize,
}

impl Seen {
    pub(crate) fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }

    /// How many of the polls were captured.
    pub(crate) fn captures(&self) -> usize {
        self.captures.load(Ordering::SeqCst)
    }

    /// Lets the leaf resolve, and wakes what it has registered.
    pub(crate) fn finish(&self) {
        self.ready.store(1, Ordering::SeqCst);
        let waker = self.waker.lock().unwrap().take();
        waker.expect("a leaf that waits has a waker").wake();
    }
}

/// A leaf future that counts its polls, and waits until it is told to finish.
pub(crate) struct Leaf(pub(crate) Arc<Seen>);

impl Leaf {
    pub(crate) fn new() -> (Self, Arc<Seen>) {
        let seen = Arc::<Seen>::default();
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

/// Whether the poll is a capture: then the waker stands for another, of which a clone is made.
///
/// `Waker::will_wake` can be false for another reason: the compiler may copy a table.
pub(crate) fn is_captured(cx: &Context<'_>, clone: &Waker) -> bool {
    clone.data() != cx.waker().data()
}

/// Polls `future` on this thread until it resolves.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    pollster::block_on(pin!(future))
}
