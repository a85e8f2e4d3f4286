//! Tasks that are polled on threads with small stacks.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::task::{Context, Waker};

use tasktrace::{TraceError, TraceHandle};

use crate::support::{LONG, Leaf};

const CHILD: &str = "TASKTRACE_TEST_SMALL_STACKS";

static IS_OVER: AtomicBool = AtomicBool::new(false);

#[tasktrace::traced]
async fn never() {
    Leaf::new().0.await;
}

extern "C" fn polls(tell: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: it is the box that `start` has made.
    let tell = unsafe { Box::from_raw(tell.cast::<mpsc::Sender<TraceHandle>>()) };
    let (task, handle) = tasktrace::traced(never());
    let mut task = Box::pin(task);
    let mut told = Some(handle);
    while !IS_OVER.load(Ordering::Relaxed) {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(task.as_mut().poll(&mut cx).is_pending());
        if let Some(handle) = told.take() {
            tell.send(handle).unwrap();
        }
        std::thread::yield_now();
    }
    std::ptr::null_mut()
}

#[tasktrace::traced]
async fn looks_at_itself() -> bool {
    let trace = tasktrace::Trace::here().expect("it is in a task");
    // Names are looked up elsewhere.
    TRACES.lock().unwrap().push(trace);
    true
}

static TRACES: Mutex<Vec<tasktrace::Trace>> = Mutex::new(Vec::new());

extern "C" fn polls_once(tell: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: it is the box that `start` has made.
    let tell = unsafe { Box::from_raw(tell.cast::<mpsc::Sender<TraceHandle>>()) };
    let (task, handle) = tasktrace::traced(looks_at_itself());
    let mut task = Box::pin(task);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(task.as_mut().poll(&mut cx).is_ready());
    tell.send(handle).unwrap();
    std::ptr::null_mut()
}

/// Polls a task on a thread with a stack of this size, in bytes. The standard library would add to it.
fn start(size: usize) -> (libc::pthread_t, TraceHandle) {
    start_with(size, polls)
}

fn start_with(
    size: usize,
    polls: extern "C" fn(*mut libc::c_void) -> *mut libc::c_void,
) -> (libc::pthread_t, TraceHandle) {
    let (tell, told) = mpsc::channel::<TraceHandle>();
    let tell = Box::into_raw(Box::new(tell)).cast();
    let mut thread = 0;
    // SAFETY: the attributes are made before they are used, and the function has the box to itself.
    unsafe {
        let mut attributes = std::mem::zeroed();
        assert_eq!(libc::pthread_attr_init(&mut attributes), 0);
        assert_eq!(libc::pthread_attr_setstacksize(&mut attributes, size), 0);
        assert_eq!(
            libc::pthread_create(&mut thread, &attributes, polls, tell),
            0
        );
    }
    (thread, told.recv().unwrap())
}

#[test]
fn a_capture_does_not_overflow_a_small_stack() {
    if std::env::var_os(CHILD).is_none() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let name = "small_stacks::a_capture_does_not_overflow_a_small_stack";
        child.args(["--exact", "--nocapture", name]).env(CHILD, "1");
        let output = child.output().unwrap();
        assert!(output.status.success(), "{output:#?}");
        return;
    }
    let sizes = [16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 2048];
    let threads: Vec<_> = sizes.iter().map(|size| (size, start(size << 10))).collect();
    for (size, (_, handle)) in &threads {
        for _ in 0..3 {
            let answer = handle.backtrace_timeout(LONG);
            eprintln!("{size} KiB: {:?}", answer.as_ref().err());
            match answer {
                Ok(trace) => assert!(trace.contains("never"), "{trace}"),
                Err(error) => {
                    assert_eq!(error, TraceError::NoRoom, "{size} KiB");
                    assert!(error.to_string().contains("too little room"), "{error}");
                    assert!(handle.snapshot().contains("never"));
                }
            }
        }
    }
    let smallest = threads[0].1.1.backtrace_timeout(LONG);
    assert_eq!(smallest.unwrap_err(), TraceError::NoRoom);
    assert!(
        threads[threads.len() - 1]
            .1
            .1
            .backtrace_timeout(LONG)
            .is_ok()
    );
    let dump = tasktrace::dump_blocking(LONG).to_string();
    assert!(dump.contains("too little room left on the stack"), "{dump}");
    IS_OVER.store(true, Ordering::Relaxed);
    for (_, (thread, _)) in threads {
        // SAFETY: it was created by `start`, and nobody else joins it.
        unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
    }
}

#[test]
fn a_trace_of_here_does_not_overflow_a_small_stack() {
    if std::env::var_os(CHILD).is_none() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let name = "small_stacks::a_trace_of_here_does_not_overflow_a_small_stack";
        child.args(["--exact", "--nocapture", name]).env(CHILD, "1");
        let output = child.output().unwrap();
        assert!(output.status.success(), "{output:#?}");
        return;
    }
    let sizes = [32, 40, 48, 64, 80, 96, 128, 192, 256, 2048];
    for size in sizes {
        let (thread, _) = start_with(size << 10, polls_once);
        // SAFETY: it was created by `start_with`, and nobody else joins it.
        unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
    }
    let traces = TRACES.lock().unwrap();
    assert_eq!(traces.len(), sizes.len());
    for trace in &*traces {
        assert!(trace.contains("looks_at_itself"), "{trace}");
    }
}
