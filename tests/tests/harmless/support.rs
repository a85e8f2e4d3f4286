//! A task that is polled by hand, so that a test decides what happens when.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tasktrace::{Trace, TraceError, TraceHandle, TracedTask};

/// Far longer than anything takes, but not for ever: a test that hangs should fail.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// Counts how often it is woken.
#[derive(Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// An executor for one future, which polls only when it is told to.
pub(crate) struct Driver<F: Future> {
    future: Pin<Box<F>>,
    pub(crate) wakes: Arc<Wakes>,
}

impl<F: Future> Driver<F> {
    pub(crate) fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            wakes: Arc::default(),
        }
    }

    /// The future, as far as it has come.
    pub(crate) fn into_future(self) -> Pin<Box<F>> {
        self.future
    }

    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

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

pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "waited for too long");
        std::thread::yield_now();
    }
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
