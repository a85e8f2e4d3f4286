//! An allocator that asks for traces: whenever anything is allocated or freed, in whatever our code is in the
//! middle of. It waits for nothing, and finds none of our locks held by its own thread.
//!
//! A process of its own, because the allocator is everybody's.

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

/// Asks for a trace.
struct Curious;

#[global_allocator]
static ALLOCATOR: Curious = Curious;

thread_local! {
    /// `true` while this thread is in [`ask`], which allocates as well.
    static IS_ASKING: Cell<bool> = const { Cell::new(false) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

/// `true` while the allocator asks for traces.
static IS_ON: AtomicBool = AtomicBool::new(false);

/// How many traces there were.
static TRACES: AtomicUsize = AtomicUsize::new(0);

/// The first allocation that was made while one of our locks was held.
static UNDER_LOCK: Mutex<Option<String>> = Mutex::new(None);

const UNDER: &str = "allocated under a lock:";

/// Set in processes of our own, which do what concerns all of a process.
const ASKED: &str = "TASKTRACE_TEST_ALLOCATOR";

/// How long all of it may take before it is taken to be a deadlock.
const PATIENCE: Duration = Duration::from_secs(300);

/// Called by the allocator.
fn ask(size: usize) {
    let is_first = || matches!(IS_ASKING.try_with(|it| it.replace(true)), Ok(false));
    if IS_ON.load(Ordering::Relaxed) && is_first() {
        ask_once(size);
        let _ = IS_ASKING.try_with(|it| it.set(false));
    }
}

fn ask_once(size: usize) {
    if tasktrace::__private::held_locks() > 0 {
        let mut first = UNDER_LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| {
            let text = format!("{UNDER} {size} bytes\n{}", Backtrace::force_capture());
            // For a process that ends before it can look.
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
    // To print takes longer.
    if calls.is_ok_and(|calls| calls % 256 == 0) {
        let printed = here.map(|trace| trace.to_string().len());
        let _ = (printed, snapshot.map(|trace| trace.to_string().len()));
        let _ = tasktrace::tasks().count();
        let _ = tasktrace::snapshot();
    }
}

// SAFETY: everything is passed on to the allocator of the system.
unsafe impl GlobalAlloc for Curious {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ask(layout.size());
        // SAFETY: `GlobalAlloc` requires the same of this function's caller as `System` does, and all memory is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        ask(layout.size());
        // SAFETY: `GlobalAlloc` requires the same of this function's caller as `System` does, and all memory is `System`'s.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ask(size);
        // SAFETY: `GlobalAlloc` requires the same of this function's caller as `System` does, and all memory is `System`'s.
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

/// Children with wakers of their own, of which some end and some do not.
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

/// Polls a task by hand, which is asked by nobody.
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

/// Moves frames from task to task, and drops them elsewhere.
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
fn an_allocator_can_ask_for_traces_at_any_time() {
    let (over, is_over) = mpsc::channel::<()>();
    let all = thread::spawn(move || {
        // Twice: the first time much is done that is done once in a process.
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

/// Runs one of the tests below in a process of its own.
fn run_alone(test: &str) -> Output {
    let program = std::env::current_exe().expect("it is this one");
    let output = Command::new(program)
        .args(["--exact", test, "--nocapture"])
        .env(ASKED, "1")
        .output()
        .expect("it can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains(UNDER), "{said}");
    output
}

fn is_asked() -> bool {
    let is_asked = std::env::var_os(ASKED).is_some();
    // The others of these tests may run at the same time.
    IS_ON.fetch_or(is_asked, Ordering::SeqCst);
    is_asked
}

#[tasktrace::test(timeout = "1s")]
async fn hangs_if_asked() {
    if is_asked() {
        let _others: Vec<_> = (0..3)
            .map(|number| tasktrace::spawn(branch(number)))
            .collect();
        leaf().await;
    }
}

#[test]
fn a_report_of_a_hung_test_holds_no_lock() {
    let output = run_alone("hangs_if_asked");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("hung for 1s"), "{said}");
}

#[tasktrace::test(timeout = "1h")]
async fn is_short() {
    leaf().traced("not for long").now_or_never();
}

/// The tests that come and go beside each other make room for each other.
#[test]
fn tests_come_and_go_if_asked() {
    if is_asked() {
        thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(is_short);
            }
        });
    }
}

#[test]
fn tests_that_come_and_go_hold_no_lock() {
    assert!(run_alone("tests_come_and_go_if_asked").status.success());
}

#[cfg(unix)]
#[test]
fn dumps_on_a_signal_if_asked() {
    if !is_asked() {
        return;
    }
    let file = std::env::temp_dir().join(format!("tasktrace-allocator-{}", std::process::id()));
    for _ in 0..2 {
        // The first is replaced.
        let options = tasktrace::DumpOnSignal::new().signal(libc::SIGUSR2);
        tasktrace::dump_on_signal(options.to_file(&file)).expect("the signal is free");
    }
    let (task, _handle) = traced(leaf());
    let mut task = pin!(task);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(task.as_mut().poll(&mut cx).is_pending());
    for _ in 0..3 {
        // SAFETY: it takes no pointer, and the signal is handled.
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
    assert!(run_alone("dumps_on_a_signal_if_asked").status.success());
}

/// A task that is suspended, so that there is something to be shown.
fn with_a_task(run: impl FnOnce()) {
    let (task, _handle) = traced(leaf());
    let mut task = pin!(task);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(task.as_mut().poll(&mut cx).is_pending());
    run();
}

/// Clients that ask for the same and for other things at once, some of which do not wait for the answer.
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
fn serves_if_asked() {
    if !is_asked() {
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
    assert!(run_alone("serves_if_asked").status.success());
}

#[cfg(unix)]
#[test]
fn is_attached_to_if_asked() {
    if !is_asked() {
        return;
    }
    with_a_task(|| {
        let first = tasktrace::attach().expect("it can be attached to");
        // Guards that come and go.
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| drop(tasktrace::attach().expect("it can be attached to")));
            }
        });
        visit(|| std::os::unix::net::UnixStream::connect(first.path()));
        drop(first);
        // Each of these makes the socket, removes it, or finds it.
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
    assert!(run_alone("is_attached_to_if_asked").status.success());
}

#[test]
fn profiles_and_watches_if_asked() {
    if !is_asked() {
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
            // One that is given up has its thread end.
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
        // It is woken, and nothing polls it.
        for task in tasktrace::tasks() {
            drop(task.backtrace_timeout(Duration::from_millis(1)));
        }
        assert!(reported.recv_timeout(PATIENCE).is_ok(), "a report");
        drop(watchdog);
    });
}

#[test]
fn a_profile_and_a_watchdog_hold_no_lock() {
    assert!(run_alone("profiles_and_watches_if_asked").status.success());
}
