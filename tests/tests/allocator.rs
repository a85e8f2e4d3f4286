//! Tests the library under an allocator that requests traces whenever memory is allocated or freed, also in the middle
//! of the library's own code. The requests wait for nothing, and find no lock of the library held by their own thread.
//!
//! The tests have a process of their own, because the allocator serves the whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tasktrace::{Trace, TracedExt, current, traced};

/// An allocator that requests a trace in each call.
struct Curious;

#[global_allocator]
static ALLOCATOR: Curious = Curious;

thread_local! {
    /// `true` while this thread is in [`request_traces`], which allocates as well.
    static IS_REQUESTING: Cell<bool> = const { Cell::new(false) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

/// `true` while the allocator requests traces.
static IS_ON: AtomicBool = AtomicBool::new(false);

/// The number of traces so far.
static TRACES: AtomicUsize = AtomicUsize::new(0);

/// The first allocation that was made while the thread held a lock of the library.
static UNDER_LOCK: Mutex<Option<String>> = Mutex::new(None);

const UNDER: &str = "allocated under a lock:";

/// The environment variable that makes the tests with effects on the whole process run: it is set in child processes.
const IN_CHILD: &str = "TASKTRACE_TEST_ALLOCATOR";

/// The time after which a test counts as deadlocked.
const PATIENCE: Duration = Duration::from_secs(300);

/// Requests traces. The allocator calls this function for each allocation of at least one byte.
fn request_traces(size: usize) {
    let is_first = || matches!(IS_REQUESTING.try_with(|it| it.replace(true)), Ok(false));
    if IS_ON.load(Ordering::Relaxed) && is_first() {
        request_traces_once(size);
        let _ = IS_REQUESTING.try_with(|it| it.set(false));
    }
}

fn request_traces_once(size: usize) {
    if tasktrace::__private::held_locks() > 0 {
        let mut first = UNDER_LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| {
            let text = format!("{UNDER} {size} bytes\n{}", Backtrace::force_capture());
            // Printed, because the process may end before it can check.
            let _ = std::io::stderr().write_all(text.as_bytes());
            text
        });
    }
    let here = Trace::here();
    TRACES.fetch_add(usize::from(here.is_some()), Ordering::Relaxed);
    let current = current();
    let snapshot = current.as_ref().map(|task| task.snapshot());
    let told = current.as_ref();
    let _ = told.map(|task| (task.state(), task.label().map(str::len)));
    let calls = CALLS.try_with(|calls| calls.replace(calls.get() + 1));
    // Printing a trace takes longer, so it is done less often.
    if calls.is_ok_and(|calls| calls % 256 == 0) {
        let printed = here.map(|trace| trace.to_string().len());
        let _ = (printed, snapshot.map(|trace| trace.to_string().len()));
        let _ = tasktrace::tasks().count();
        let _ = tasktrace::snapshot();
    }
}

// SAFETY: each method passes its arguments unchanged to `System`, whose contract is the same. `request_traces` returns
// at once when it is called recursively, and does not touch the memory in question.
unsafe impl GlobalAlloc for Curious {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        request_traces(layout.size());
        // SAFETY: `GlobalAlloc` requires the same of this function's caller as `System` does, and all memory is
        // `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        request_traces(layout.size());
        // SAFETY: `GlobalAlloc` requires the same of this function's caller as `System` does, and all memory is
        // `System`'s.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        request_traces(size);
        // SAFETY: `GlobalAlloc` requires the same of this function's caller as `System` does, and all memory is
        // `System`'s.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[tasktrace::traced]
async fn leaf() {
    tokio::task::yield_now().await;
    std::future::pending::<()>().await;
}

#[tasktrace::traced("branch {number}")]
async fn branch(number: usize) {
    leaf().traced(format!("leaf of {number}")).await;
}

/// Polls children that have wakers of their own, some of which end.
#[tasktrace::traced]
async fn children(count: usize) {
    let mut all: FuturesUnordered<_> = (0..count)
        .map(|number| async move {
            match number % 3 {
                0 => {
                    tokio::task::yield_now()
                        .traced(format!("short {number}"))
                        .await
                }
                _ => branch(number).await,
            }
        })
        .collect();
    while all.next().await.is_some() {}
}

#[tasktrace::traced]
async fn blocked(until: mpsc::Receiver<()>) {
    let _ = until.recv();
}

/// Polls a task that gets no other request.
fn polls() {
    let (task, _handle) = traced(async {
        futures::future::join_all((0..40).map(branch)).await;
    });
    let mut task = pin!(task);
    for _ in 0..5 {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(task.as_mut().poll(&mut cx).is_pending());
    }
}

/// Moves frames from task to task, and drops them in another task.
fn moves() {
    let mut cx = Context::from_waker(Waker::noop());
    let mut frames: Vec<_> = (0..40).map(|number| Box::pin(branch(number))).collect();
    for _ in 0..3 {
        let polled = &mut frames;
        let (task, handle) = traced(std::future::poll_fn(move |cx| {
            for frame in &mut *polled {
                assert!(frame.as_mut().poll(cx).is_pending());
            }
            std::task::Poll::<()>::Pending
        }));
        let mut task = Box::pin(task);
        assert!(task.as_mut().poll(&mut cx).is_pending());
        assert!(task.as_mut().poll(&mut cx).is_pending());
        drop(handle.snapshot().to_string());
        drop(task);
    }
}

fn asks() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("there can be threads");
    let _guard = runtime.enter();
    let watchdog = tasktrace::watchdog()
        .every(Duration::from_millis(20))
        .starved_after(Duration::from_millis(1))
        .blocked_after(Duration::from_millis(1))
        .on_stall(|report| drop(report.to_string()))
        .start();
    let (unblock, until) = mpsc::channel();
    let mut handles = vec![
        tasktrace::spawn(blocked(until)),
        tasktrace::spawn(children(50)),
    ];
    handles.extend((0..10).map(|number| tasktrace::spawn(branch(number))));
    let mut set = tasktrace::JoinSet::new();
    for number in 0..10 {
        set.spawn(branch(number));
    }
    let waits = runtime.spawn(traced(async move { while set.join_next().await.is_some() {} }).0);
    for _ in 0..3 {
        let dump = tasktrace::dump_blocking(Duration::from_secs(2));
        assert!(dump.to_string().contains("branch"));
        drop(format!("{dump:#}"));
        drop(dump.json().to_string());
        for task in tasktrace::tasks() {
            drop(task.snapshot().to_string());
        }
    }
    let asked = thread::spawn(|| {
        for task in tasktrace::tasks() {
            let trace = task.backtrace_timeout(Duration::from_millis(500));
            drop(trace.map(|trace| format!("{trace}\n{trace:#}")));
        }
    });
    asked.join().expect("it does not panic");
    runtime.block_on(async {
        drop(tasktrace::dump().await.to_string());
        let profile = tasktrace::profile()
            .lasting(Duration::from_millis(200))
            .run();
        drop(profile.await.to_string());
    });
    drop(unblock);
    drop(watchdog);
    for handle in &handles {
        handle.abort();
    }
    waits.abort();
    drop(handles);
}

#[test]
fn an_allocator_can_request_traces_at_any_time() {
    let (over, is_over) = mpsc::channel::<()>();
    let all = thread::spawn(move || {
        // The first round includes the work that a process does once, the second does not.
        for _ in 0..2 {
            IS_ON.store(true, Ordering::SeqCst);
            polls();
            moves();
            asks();
            IS_ON.store(false, Ordering::SeqCst);
        }
        drop(over);
    });
    if is_over.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
        eprintln!("it is not over after {PATIENCE:?}");
        std::process::abort();
    }
    all.join().expect("nothing in it panics");
    let under_lock = UNDER_LOCK
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    assert_eq!(under_lock.as_deref().unwrap_or_default(), "");
    assert!(TRACES.load(Ordering::Relaxed) > 0, "it was answered");
}

/// Runs one of the tests below in a child process.
fn run_alone(test: &str) -> Output {
    let program = std::env::current_exe().expect("it is this one");
    let output = Command::new(program)
        .args(["--exact", test, "--nocapture"])
        .env(IN_CHILD, "1")
        .output()
        .expect("it can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains(UNDER), "{said}");
    output
}

fn is_child() -> bool {
    let is_child = std::env::var_os(IN_CHILD).is_some();
    // The other tests of this file may run at the same time.
    IS_ON.fetch_or(is_child, Ordering::SeqCst);
    is_child
}

#[tasktrace::test(timeout = "1s")]
async fn hangs_in_the_child() {
    if is_child() {
        let _others: Vec<_> = (0..3)
            .map(|number| tasktrace::spawn(branch(number)))
            .collect();
        leaf().await;
    }
}

#[test]
fn a_report_of_a_hung_test_holds_no_lock() {
    let output = run_alone("hangs_in_the_child");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("hung for 1s"), "{said}");
}

#[tasktrace::test(timeout = "1h")]
async fn is_short() {
    leaf().traced("not for long").now_or_never();
}

/// Concurrent short tests register and unregister, and reuse each other's places.
#[test]
fn tests_come_and_go_in_the_child() {
    if is_child() {
        thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(is_short);
            }
        });
    }
}

#[test]
fn tests_that_come_and_go_hold_no_lock() {
    assert!(run_alone("tests_come_and_go_in_the_child").status.success());
}

#[cfg(unix)]
#[test]
fn dumps_on_a_signal_in_the_child() {
    if !is_child() {
        return;
    }
    let file = std::env::temp_dir().join(format!("tasktrace-allocator-{}", std::process::id()));
    for _ in 0..2 {
        // The second call replaces the first.
        let options = tasktrace::DumpOnSignal::new().signal(libc::SIGUSR2);
        tasktrace::dump_on_signal(options.to_file(&file)).expect("the signal is free");
    }
    let (task, _handle) = traced(leaf());
    let mut task = pin!(task);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(task.as_mut().poll(&mut cx).is_pending());
    for _ in 0..3 {
        // SAFETY: `raise` and `kill` take no pointer, and the signal has a handler.
        assert_eq!(unsafe { libc::raise(libc::SIGUSR2) }, 0);
    }
    let deadline = Instant::now() + PATIENCE;
    while std::fs::remove_file(&file).is_err() {
        assert!(Instant::now() < deadline, "there is no dump");
        thread::yield_now();
    }
}

#[cfg(unix)]
#[test]
fn a_dump_on_a_signal_holds_no_lock() {
    assert!(run_alone("dumps_on_a_signal_in_the_child").status.success());
}

/// Calls `run` while a suspended task exists, so that dumps have something to show.
fn with_a_task(run: impl FnOnce()) {
    let (task, _handle) = traced(leaf());
    let mut task = pin!(task);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(task.as_mut().poll(&mut cx).is_pending());
    run();
}

/// Sends equal and different requests from several clients at once, some of which do not wait for the answer.
fn visit<S: std::io::Read + Write>(connect: impl Fn() -> std::io::Result<S> + Sync) {
    const PATHS: [&str; 6] = [
        "/dump.txt",
        "/dump.json",
        "/dump.txt?capture=0",
        "/process.json",
        "/profile.txt?seconds=1",
        "/",
    ];
    let visit = |number: usize| {
        let mut stream = connect().expect("there is a server");
        let path = PATHS[number % PATHS.len()];
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        if number % 4 != 3 {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("it answers");
            assert!(answer.starts_with("HTTP/1.1 "), "{path}: {answer}");
        }
    };
    thread::scope(|scope| {
        for number in 0..24 {
            scope.spawn(move || visit(number));
        }
    });
}

#[test]
fn serves_in_the_child() {
    if !is_child() {
        return;
    }
    with_a_task(|| {
        let server = tasktrace::http::builder()
            .budget(Duration::from_millis(50))
            .bind("127.0.0.1:0")
            .expect("there is a port");
        let address = server.local_addr();
        visit(|| std::net::TcpStream::connect(address));
        drop(server);
    });
}

#[test]
fn a_server_holds_no_lock() {
    assert!(run_alone("serves_in_the_child").status.success());
}

#[cfg(unix)]
#[test]
fn is_attached_to_in_the_child() {
    if !is_child() {
        return;
    }
    with_a_task(|| {
        let first = tasktrace::attach().expect("it can be attached to");
        // Other guards are created and dropped meanwhile.
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| drop(tasktrace::attach().expect("it can be attached to")));
            }
        });
        visit(|| std::os::unix::net::UnixStream::connect(first.path()));
        drop(first);
        // Each of these calls creates the socket, removes it, or finds it.
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| drop(tasktrace::attach().expect("it can be attached to")));
            }
        });
        std::mem::forget(tasktrace::attach());
    });
}

#[cfg(unix)]
#[test]
fn a_process_that_is_attached_to_holds_no_lock() {
    assert!(run_alone("is_attached_to_in_the_child").status.success());
}

#[test]
fn profiles_and_watches_in_the_child() {
    if !is_child() {
        return;
    }
    with_a_task(|| {
        let profile = || {
            let short = tasktrace::profile().lasting(Duration::from_millis(100));
            short.every(Duration::from_millis(5)).max_cpu(1.0)
        };
        let (progress, progressed) = mpsc::channel();
        let profiled = profile().captures().on_sample(move |sample| {
            let _ = progress.send(sample.elapsed());
        });
        drop(profiled.run_blocking().to_string());
        assert!(progressed.try_iter().count() > 0);
        let mut cx = Context::from_waker(Waker::noop());
        for is_awaited in [true, false] {
            let mut run = pin!(profile().run());
            // The thread of a dropped profile ends.
            while run.as_mut().poll(&mut cx).is_pending() && is_awaited {
                thread::yield_now();
            }
        }
        let (reports, reported) = mpsc::channel();
        let watchdog = tasktrace::watchdog()
            .every(Duration::from_millis(1))
            .starved_after(Duration::from_millis(1))
            .on_stall(move |report| drop(reports.send(report.to_string())))
            .start();
        // The task is woken, and nothing polls it.
        for task in tasktrace::tasks() {
            drop(task.backtrace_timeout(Duration::from_millis(1)));
        }
        assert!(reported.recv_timeout(PATIENCE).is_ok(), "a report");
        drop(watchdog);
    });
}

#[test]
fn a_profile_and_a_watchdog_hold_no_lock() {
    assert!(
        run_alone("profiles_and_watches_in_the_child")
            .status
            .success()
    );
}
