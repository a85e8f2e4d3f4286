//! Wakers that do not return hold up only the few threads of ours that call them.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use tasktrace::{Dump, Source, TaskId, TraceError, TraceHandle, TracedTask, dump_blocking, traced};

use tasktrace_tests::by_hand::LONG;

/// What a waker of [`Gate`] waits at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Wake,
    Drop,
}

/// An executor whose wakers block their callers until it is opened.
struct Gate {
    at: At,
    is_open: Mutex<bool>,
    opened: Condvar,
    waiting: AtomicUsize,
}

impl Gate {
    fn new(at: At) -> Arc<Self> {
        Arc::new(Self {
            at,
            is_open: Mutex::new(false),
            opened: Condvar::new(),
            waiting: AtomicUsize::new(0),
        })
    }

    fn pass(&self) {
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
        Waker::from(Arc::new(Passes(Arc::clone(self))))
    }

    fn wait_for_one(&self) {
        let deadline = Instant::now() + LONG;
        while self.waiting.load(Ordering::SeqCst) == 0 {
            assert!(Instant::now() < deadline, "nobody calls it");
            thread::yield_now();
        }
    }
}

/// Each of these tests keeps some of the few threads of ours, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Opens it also where a test fails.
struct Opens(Arc<Gate>);

impl Drop for Opens {
    fn drop(&mut self) {
        self.0.open();
    }
}

struct Passes(Arc<Gate>);

impl Wake for Passes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.0.at == At::Wake {
            self.0.pass();
        }
    }
}

impl Drop for Passes {
    fn drop(&mut self) {
        if self.0.at == At::Drop {
            self.0.pass();
        }
    }
}

type Body = Pin<Box<TracedTask<std::future::Pending<()>>>>;

fn polled_with(waker: &Waker) -> (Body, TraceHandle) {
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

/// A task that is polled whenever it is woken.
struct Alive {
    id: TaskId,
    _runtime: tokio::runtime::Runtime,
}

impl Alive {
    fn new() -> Self {
        let runtime = tasktrace_tests::multi_thread();
        let (future, handle) = traced(pending::<()>());
        runtime.spawn(future);
        handle.backtrace_timeout(LONG).expect("it is polled");
        Self {
            id: handle.id(),
            _runtime: runtime,
        }
    }

    fn is_captured_in(&self, dump: &Dump) -> bool {
        *dump.get(self.id).expect("it is there").source() == Source::Capture
    }
}

/// Does it on another thread, and fails if that takes too long.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    is_done.recv_timeout(LONG).expect("it does not return")
}

/// Long enough for who answers, on a busy machine.
const BUDGET: Duration = Duration::from_secs(5);

#[test]
fn a_dump_keeps_its_budget_while_wakers_block() {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let gate = Gate::new(At::Wake);
    let _opens = Opens(Arc::clone(&gate));
    let (_future, handle) = polled_with(&gate.waker());
    let alive = Alive::new();

    let dump = in_time(|| dump_blocking(BUDGET));
    assert!(alive.is_captured_in(&dump), "{dump:#}");
    let left = dump.get(handle.id()).unwrap();
    assert!(matches!(
        left.source(),
        Source::Snapshot {
            error: Some(TraceError::NoAnswer { .. })
        }
    ));

    let asked = handle.clone();
    let answer = in_time(move || asked.backtrace_timeout(Duration::from_millis(100)));
    assert!(matches!(answer, Err(TraceError::NoAnswer { .. })));
    assert!(tasktrace::snapshot().get(handle.id()).is_some());
}

#[test]
fn many_tasks_on_many_threads_take_few_threads_of_ours() {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let gate = Gate::new(At::Wake);
    let opens = Opens(Arc::clone(&gate));
    // On a thread each, as with an executor of many.
    let tasks: Vec<_> = (0..60)
        .map(|_| {
            let waker = gate.waker();
            thread::spawn(move || polled_with(&waker)).join().unwrap()
        })
        .collect();
    let alive = Alive::new();
    for _ in 0..2 {
        let dump = in_time(|| dump_blocking(BUDGET));
        assert!(alive.is_captured_in(&dump), "{dump:#}");
        for (_, handle) in &tasks {
            assert!(matches!(
                dump.get(handle.id()).unwrap().source(),
                Source::Snapshot { .. }
            ));
        }
    }
    // No more than two are in wakers of one kind, and not one for each task or dump.
    let waiting = gate.waiting.load(Ordering::SeqCst);
    assert!((1..=2).contains(&waiting), "{waiting}");
    #[cfg(target_os = "linux")]
    assert!(wakers() <= 8, "{}", wakers());
    drop(opens);
}

/// How many threads of ours there are that wake.
#[cfg(target_os = "linux")]
fn wakers() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let names = threads.filter_map(|it| std::fs::read_to_string(it.ok()?.path().join("comm")).ok());
    names
        .filter(|name| name.trim() == "tasktrace-waker")
        .count()
}

#[test]
fn a_task_that_was_put_aside_is_woken_when_the_executor_goes_on() {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let gate = Gate::new(At::Wake);
    let _opens = Opens(Arc::clone(&gate));
    let tasks: Vec<_> = (0..20).map(|_| polled_with(&gate.waker())).collect();
    let dumping = thread::spawn(|| dump_blocking(2 * BUDGET));
    gate.wait_for_one();
    gate.open();
    // The executor polls what is woken.
    let is_done = Arc::new(AtomicBool::new(false));
    let polling = {
        let is_done = Arc::clone(&is_done);
        let waker = gate.waker();
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
        // Other tests may have tasks that do not answer; these have.
        assert_eq!(*dump.get(id).unwrap().source(), Source::Capture);
    }
}

#[test]
fn async_requests_go_on_while_wakers_block() {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let gate = Gate::new(At::Wake);
    let _opens = Opens(Arc::clone(&gate));
    let (_future, handle) = polled_with(&gate.waker());
    in_time(move || {
        let runtime = tasktrace_tests::current_thread();
        runtime.block_on(async {
            // Its timer would not run if its thread was blocked.
            let asked = handle.backtrace();
            let answer = tokio::time::timeout(Duration::from_millis(10), asked).await;
            assert!(answer.is_err());
            let dump = tasktrace::dump().await;
            assert!(dump.get(handle.id()).is_some());
        });
    });
}

#[test]
fn a_waker_whose_drop_blocks_delays_no_request() {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let gate = Gate::new(At::Drop);
    let _opens = Opens(Arc::clone(&gate));
    let slow = Gate::new(At::Wake);
    let opens_slow = Opens(Arc::clone(&slow));
    /// Both: it waits in `wake` for the one gate, and when it is dropped for the other.
    struct Both(Arc<Gate>, #[allow(dead_code)] Passes);
    impl Wake for Both {
        fn wake(self: Arc<Self>) {
            self.0.pass();
        }

        fn wake_by_ref(self: &Arc<Self>) {
            self.0.pass();
        }
    }
    let both = Waker::from(Arc::new(Both(Arc::clone(&slow), Passes(Arc::clone(&gate)))));
    let (mut future, handle) = polled_with(&both);
    let dump = in_time(|| dump_blocking(Duration::from_millis(100)));
    assert!(dump.get(handle.id()).is_some());
    slow.wait_for_one();
    // It is on loan. So the one who has it drops it.
    assert!(
        future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    drop(both);
    drop(opens_slow);
    gate.wait_for_one();

    let alive = Alive::new();
    let dump = in_time(|| dump_blocking(BUDGET));
    assert!(alive.is_captured_in(&dump), "{dump:#}");
    assert!(dump.get(handle.id()).is_some());
}

#[test]
fn a_watchdog_and_a_server_go_on_while_wakers_block() {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let gate = Gate::new(At::Wake);
    let _opens = Opens(Arc::clone(&gate));
    let (_future, handle) = polled_with(&gate.waker());
    let alive = Alive::new();

    let (reports, reported) = mpsc::channel();
    let watchdog = tasktrace::watchdog()
        .every(Duration::from_millis(10))
        .starved_after(Duration::from_millis(200))
        .on_stall(move |report| {
            let _ = reports.send(report.task().id());
        })
        .start();
    // Nobody polls it, and it was to be woken.
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
        let answer = in_time(move || {
            use std::io::{Read, Write};

            let mut stream = std::net::TcpStream::connect(address).unwrap();
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    drop(alive);
}
