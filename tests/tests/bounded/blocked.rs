//! Tests that wakers which do not return block only the few threads of the library that call them.

use std::future::{Future, pending};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use tasktrace::{Dump, Source, TaskId, TraceError, TraceHandle, TracedTask, dump_blocking, traced};

use tasktrace_tests::by_hand::LONG;
use tasktrace_tests::http::get;

use crate::alone;

/// The function in which a waker of [`WakerBarrier`] blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BlocksIn {
    Wake,
    Drop,
}

/// An executor whose wakers block their callers until [`WakerBarrier::open`].
struct WakerBarrier {
    blocks_in: BlocksIn,
    is_open: Mutex<bool>,
    opened: Condvar,
    waiting: AtomicUsize,
}

impl WakerBarrier {
    fn new(blocks_in: BlocksIn) -> Arc<Self> {
        Arc::new(Self {
            blocks_in,
            is_open: Mutex::new(false),
            opened: Condvar::new(),
            waiting: AtomicUsize::new(0),
        })
    }

    fn wait(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let is_open = self.is_open.lock().unwrap();
        drop(
            self.opened
                .wait_while(is_open, |is_open| !*is_open)
                .unwrap(),
        );
    }

    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::new(BlockingWaker(Arc::clone(self))))
    }

    fn wait_until_called(&self) {
        let deadline = Instant::now() + LONG;
        while self.waiting.load(Ordering::SeqCst) == 0 {
            assert!(Instant::now() < deadline, "no thread called a waker");
            thread::yield_now();
        }
    }
}

/// A barrier that is opened at the end of a test, also if the test fails.
struct OpenOnDrop(Arc<WakerBarrier>);

impl OpenOnDrop {
    fn new(blocks_in: BlocksIn) -> Self {
        Self(WakerBarrier::new(blocks_in))
    }
}

impl Deref for OpenOnDrop {
    type Target = Arc<WakerBarrier>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for OpenOnDrop {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// Waits for the other tests, and returns the lock and a barrier of its own.
fn set_up(blocks_in: BlocksIn) -> (MutexGuard<'static, ()>, OpenOnDrop) {
    (alone(), OpenOnDrop::new(blocks_in))
}

struct BlockingWaker(Arc<WakerBarrier>);

impl Wake for BlockingWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.0.blocks_in == BlocksIn::Wake {
            self.0.wait();
        }
    }
}

impl Drop for BlockingWaker {
    fn drop(&mut self) {
        if self.0.blocks_in == BlocksIn::Drop {
            self.0.wait();
        }
    }
}

type Task = Pin<Box<TracedTask<std::future::Pending<()>>>>;

fn polled_with(waker: &Waker) -> (Task, TraceHandle) {
    let (future, handle) = traced(pending::<()>());
    let mut future = Box::pin(future);
    assert!(
        future
            .as_mut()
            .poll(&mut Context::from_waker(waker))
            .is_pending()
    );
    (future, handle)
}

/// A task that a runtime polls whenever it is woken.
struct HealthyTask {
    id: TaskId,
    _runtime: tokio::runtime::Runtime,
}

impl HealthyTask {
    fn new() -> Self {
        let runtime = tasktrace_tests::multi_thread();
        let (future, handle) = traced(pending::<()>());
        runtime.spawn(future);
        handle
            .backtrace_timeout(LONG)
            .expect("the runtime polls the task");
        Self {
            id: handle.id(),
            _runtime: runtime,
        }
    }

    fn is_captured_in(&self, dump: &Dump) -> bool {
        *dump.get(self.id).expect("the dump lists the task").source() == Source::Capture
    }
}

/// Runs `work` on another thread, and panics if it takes too long.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(LONG).expect("the work ends in time")
}

/// A budget within which a task that can answer does, on a busy machine.
const BUDGET: Duration = Duration::from_secs(5);

#[test]
fn a_dump_keeps_its_budget_while_wakers_block() {
    let (_lock, barrier) = set_up(BlocksIn::Wake);
    let (_future, handle) = polled_with(&barrier.waker());
    let healthy = HealthyTask::new();

    let dump = in_time(|| dump_blocking(BUDGET));
    assert!(healthy.is_captured_in(&dump), "{dump:#}");
    let left = dump.get(handle.id()).unwrap();
    assert!(matches!(
        left.source(),
        Source::Snapshot {
            error: Some(TraceError::NoAnswer { .. })
        }
    ));

    let requested = handle.clone();
    let answer = in_time(move || requested.backtrace_timeout(Duration::from_millis(100)));
    assert!(matches!(answer, Err(TraceError::NoAnswer { .. })));
    assert!(tasktrace::snapshot().get(handle.id()).is_some());
}

#[test]
fn wakers_of_many_tasks_block_only_a_few_threads() {
    let (_lock, barrier) = set_up(BlocksIn::Wake);
    // Each task is polled on a thread of its own, as in an executor with many threads.
    let tasks: Vec<_> = (0..60)
        .map(|_| {
            let waker = barrier.waker();
            thread::spawn(move || polled_with(&waker)).join().unwrap()
        })
        .collect();
    let healthy = HealthyTask::new();
    for _ in 0..2 {
        let dump = in_time(|| dump_blocking(BUDGET));
        assert!(healthy.is_captured_in(&dump), "{dump:#}");
        for (_, handle) in &tasks {
            assert!(matches!(
                dump.get(handle.id()).unwrap().source(),
                Source::Snapshot { .. }
            ));
        }
    }
    // At most two threads are in wakers with one vtable, not one thread for each task or dump.
    let waiting = barrier.waiting.load(Ordering::SeqCst);
    assert!((1..=2).contains(&waiting), "{waiting}");
    #[cfg(target_os = "linux")]
    assert!(waker_threads() <= 8, "{}", waker_threads());
    drop(barrier);
}

/// Returns the number of threads of the library that call wakers.
#[cfg(target_os = "linux")]
fn waker_threads() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let names = threads.filter_map(|it| std::fs::read_to_string(it.ok()?.path().join("comm")).ok());
    names
        .filter(|name| name.trim() == "tasktrace-waker")
        .count()
}

#[test]
fn tasks_are_woken_when_their_wakers_no_longer_block() {
    let (_lock, barrier) = set_up(BlocksIn::Wake);
    let tasks: Vec<_> = (0..20).map(|_| polled_with(&barrier.waker())).collect();
    let dumping = thread::spawn(|| dump_blocking(2 * BUDGET));
    barrier.wait_until_called();
    barrier.open();
    // The executor polls the tasks that are woken.
    let is_done = Arc::new(AtomicBool::new(false));
    let polling = {
        let is_done = Arc::clone(&is_done);
        let waker = barrier.waker();
        let mut tasks: Vec<_> = tasks.into_iter().collect();
        let ids: Vec<_> = tasks.iter().map(|(_, handle)| handle.id()).collect();
        let polling = thread::spawn(move || {
            while !is_done.load(Ordering::SeqCst) {
                for (future, handle) in &mut tasks {
                    if handle.state() == tasktrace::TaskState::Woken {
                        let mut cx = Context::from_waker(&waker);
                        assert!(future.as_mut().poll(&mut cx).is_pending());
                    }
                }
                thread::yield_now();
            }
        });
        (polling, ids)
    };
    let dump = dumping.join().unwrap();
    is_done.store(true, Ordering::SeqCst);
    polling.0.join().unwrap();
    for id in polling.1 {
        // Tasks of other tests may not answer, but these must.
        assert_eq!(*dump.get(id).unwrap().source(), Source::Capture);
    }
}

#[test]
fn async_requests_do_not_block_their_thread_while_wakers_block() {
    let (_lock, barrier) = set_up(BlocksIn::Wake);
    let (_future, handle) = polled_with(&barrier.waker());
    in_time(move || {
        let runtime = tasktrace_tests::current_thread();
        runtime.block_on(async {
            // The timer needs this thread, which the request must not block.
            let request = handle.backtrace();
            let answer = tokio::time::timeout(Duration::from_millis(10), request).await;
            assert!(answer.is_err());
            let dump = tasktrace::dump().await;
            assert!(dump.get(handle.id()).is_some());
        });
    });
}

#[test]
fn a_waker_whose_drop_blocks_delays_no_request() {
    let (_lock, barrier) = set_up(BlocksIn::Drop);
    let in_wake = OpenOnDrop::new(BlocksIn::Wake);
    /// A waker that blocks in `wake` until the first barrier is open, and in its drop until the second is.
    struct BlocksInBoth(Arc<WakerBarrier>, #[allow(dead_code)] BlockingWaker);
    impl Wake for BlocksInBoth {
        fn wake(self: Arc<Self>) {
            self.0.wait();
        }

        fn wake_by_ref(self: &Arc<Self>) {
            self.0.wait();
        }
    }
    let both = Waker::from(Arc::new(BlocksInBoth(
        Arc::clone(&in_wake),
        BlockingWaker(Arc::clone(&barrier)),
    )));
    let (mut future, handle) = polled_with(&both);
    let dump = in_time(|| dump_blocking(Duration::from_millis(100)));
    assert!(dump.get(handle.id()).is_some());
    in_wake.wait_until_called();
    // The thread in `wake` has borrowed the waker, so that thread drops it.
    assert!(
        future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    drop(both);
    drop(in_wake);
    barrier.wait_until_called();

    let healthy = HealthyTask::new();
    let dump = in_time(|| dump_blocking(BUDGET));
    assert!(healthy.is_captured_in(&dump), "{dump:#}");
    assert!(dump.get(handle.id()).is_some());
}

#[test]
fn a_watchdog_and_a_server_keep_working_while_wakers_block() {
    let (_lock, barrier) = set_up(BlocksIn::Wake);
    let (_future, handle) = polled_with(&barrier.waker());
    let healthy = HealthyTask::new();

    let (reports, reported) = mpsc::channel();
    let watchdog = tasktrace::watchdog()
        .every(Duration::from_millis(10))
        .starved_after(Duration::from_millis(200))
        .on_stall(move |report| {
            let _ = reports.send(report.task().id());
        })
        .start();
    // The task is not polled, although it was to be woken, so it is reported.
    let deadline = Instant::now() + LONG;
    while reported.recv_timeout(LONG).expect("a report") != handle.id() {
        assert!(Instant::now() < deadline);
    }
    in_time(move || drop(watchdog));

    let server = tasktrace::http::builder().budget(Duration::from_millis(200));
    let server = server.bind("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    for path in [
        "/dump.txt",
        "/dump.txt?capture=0",
        "/process.json",
        "/dump.json",
    ] {
        let answer = in_time(move || get(address, path));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    drop(healthy);
}
