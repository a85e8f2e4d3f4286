//! Tests captures of tasks that are polled on threads with small stacks.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::task::{Context, Waker};

use tasktrace::{TraceError, TraceHandle};

use crate::support::{LONG, Leaf};

const CHILD: &str = "TASKTRACE_TEST_SMALL_STACKS";

static IS_OVER: AtomicBool = AtomicBool::new(false);

#[tasktrace::traced]
async fn waits_for_ever() {
    Leaf::new().0.await;
}

type Poll = fn(mpsc::Sender<TraceHandle>);

fn poll_until_over(sender: mpsc::Sender<TraceHandle>) {
    let (task, handle) = tasktrace::traced(waits_for_ever());
    let mut task = Box::pin(task);
    let mut unsent = Some(handle);
    while !IS_OVER.load(Ordering::Relaxed) {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(task.as_mut().poll(&mut cx).is_pending());
        if let Some(handle) = unsent.take() {
            sender.send(handle).unwrap();
        }
        std::thread::yield_now();
    }
}

#[tasktrace::traced]
async fn traces_itself() -> bool {
    let trace = tasktrace::Trace::here().expect("this code runs in a task");
    // The test looks up the names later, on its own thread, whose stack is large.
    TRACES.lock().unwrap().push(trace);
    true
}

static TRACES: Mutex<Vec<tasktrace::Trace>> = Mutex::new(Vec::new());

fn poll_once(sender: mpsc::Sender<TraceHandle>) {
    let (task, handle) = tasktrace::traced(traces_itself());
    let mut task = Box::pin(task);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(task.as_mut().poll(&mut cx).is_ready());
    sender.send(handle).unwrap();
}

/// A thread that polls when it has used a part of its stack.
struct Start {
    used: usize,
    poll: Poll,
    sender: mpsc::Sender<TraceHandle>,
}

extern "C" fn run(start: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: `start_with` passes a pointer that it got from `Box::into_raw` with this type, and only to this one call.
    let start = unsafe { Box::from_raw(start.cast::<Start>()) };
    let top = 0_u8;
    descend(std::hint::black_box(&raw const top).addr(), *start);
    std::ptr::null_mut()
}

#[inline(never)]
fn descend(top: usize, start: Start) {
    let here = [0_u8; 512];
    let address = std::hint::black_box(&raw const here).addr();
    match top - address < start.used {
        true => descend(top, start),
        false => (start.poll)(start.sender),
    }
    std::hint::black_box(&here);
}

/// Polls a task on a thread with a stack of `size` bytes. The standard library would make the stack larger. Where the C
/// library does so too, the thread first uses up the additional bytes.
fn start(size: usize) -> (libc::pthread_t, TraceHandle) {
    start_with(size, poll_until_over)
}

fn start_with(size: usize, poll: Poll) -> (libc::pthread_t, TraceHandle) {
    let (sender, receiver) = mpsc::channel::<TraceHandle>();
    let possible = size.max(libc::PTHREAD_STACK_MIN);
    let used = possible - size;
    let start = Box::into_raw(Box::new(Start { used, poll, sender })).cast();
    let mut thread = 0;
    // SAFETY: `pthread_attr_init` initialises the attributes before any other call reads them. All pointers are valid
    // for the calls. `run` takes ownership of the box behind `start`, which this function does not use again.
    unsafe {
        let mut attributes = std::mem::zeroed();
        assert_eq!(libc::pthread_attr_init(&mut attributes), 0);
        assert_eq!(
            libc::pthread_attr_setstacksize(&mut attributes, possible),
            0
        );
        assert_eq!(
            libc::pthread_create(&mut thread, &attributes, run, start),
            0
        );
    }
    (thread, receiver.recv().unwrap())
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
                Ok(trace) => assert!(trace.contains("waits_for_ever"), "{trace}"),
                Err(error) => {
                    assert_eq!(error, TraceError::NoRoom, "{size} KiB");
                    assert!(error.to_string().contains("too little room"), "{error}");
                    assert!(handle.snapshot().contains("waits_for_ever"));
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
        // SAFETY: `start` created the thread joinable, and only this line joins it.
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
        let (thread, _) = start_with(size << 10, poll_once);
        // SAFETY: `start_with` created the thread joinable, and only this line joins it.
        unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
    }
    let traces = TRACES.lock().unwrap();
    assert_eq!(traces.len(), sizes.len());
    for trace in &*traces {
        assert!(trace.contains("traces_itself"), "{trace}");
    }
}
