//! What tracing allocates: nothing while nobody asks, and nothing that stays.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tasktrace::{Trace, TraceHandle};

/// Counts for each thread on its own, so that tests do not see each other.
struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

/// The bytes that all threads have allocated and not freed.
static ALL_BYTES: AtomicIsize = AtomicIsize::new(0);

fn count(calls: usize, bytes: isize) {
    ALL_BYTES.fetch_add(bytes, Ordering::Relaxed);
    // Other than these, thread-locals can be gone when something is freed.
    let _ = CALLS.try_with(|count| count.set(count.get() + calls));
    let _ = BYTES.try_with(|count| count.set(count.get() + bytes));
}

// SAFETY: everything is passed on to the allocator of the system.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size().cast_signed());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, -layout.size().cast_signed());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size.cast_signed() - layout.size().cast_signed());
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What is kept for the process is shared by its threads: a test would see what another needs.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// How many allocations `run` makes.
fn allocations(run: impl FnOnce()) -> usize {
    let before = CALLS.get();
    run();
    CALLS.get() - before
}

/// How many bytes `run` allocates and does not free.
fn kept(run: impl FnOnce()) -> isize {
    let before = BYTES.get();
    run();
    BYTES.get() - before
}

/// Fails if each of many runs keeps some bytes.
///
/// A request is freed by the thread that has woken its task, later than the requester has the answer. So all threads
/// are counted. The record of a task that has been asked stays where it was freed, with a place for questions, until
/// another task is put into it. So the first rounds of runs may keep the bytes of some such places, and later rounds
/// find them there. What the test harness and threads of ours allocate meanwhile is little for so many runs.
fn keeps_nothing(mut run: impl FnMut()) {
    const RUNS: isize = 500;
    const ROUNDS: usize = 20;
    // Whatever is kept for the whole process is made by the first run.
    run();
    let mut kept_in_round = || {
        let before = ALL_BYTES.load(Ordering::Relaxed);
        for _ in 0..RUNS {
            run();
        }
        ALL_BYTES.load(Ordering::Relaxed) - before
    };
    let mut kept = Vec::with_capacity(ROUNDS);
    while kept.last().is_none_or(|last| *last >= 16 * RUNS) {
        assert!(kept.len() < ROUNDS, "each round keeps bytes: {kept:?}");
        kept.push(kept_in_round());
    }
}

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn waits() {
    inside().await;
}

async fn inside() {
    std::future::poll_fn(|cx| {
        let _registered = cx.waker().clone();
        Poll::Pending
    })
    .await
}

#[test]
fn what_counts_counts() {
    assert_eq!(
        allocations(|| drop(Box::new(std::hint::black_box(1_u8)))),
        1
    );
    let mut boxed = None;
    assert_eq!(kept(|| boxed = Some(Box::new(1_u64))), 8);
    assert_eq!(kept(|| boxed = None), -8);
    assert_eq!(kept(|| drop(vec![std::hint::black_box(1_u8); 100])), 0);
}

#[test]
fn a_poll_that_nobody_asks_about_allocates_nothing() {
    struct Ignored;
    impl Wake for Ignored {
        fn wake(self: Arc<Self>) {}
    }
    check_polls(&Waker::from(Arc::new(Ignored)));
    // A waker that may be unequal to itself: the compiler copies its table into each crate.
    check_polls(Waker::noop());
}

fn check_polls(waker: &Waker) {
    let _alone = alone();
    let (inner, _inner_handle) = tasktrace::traced(waits());
    let (task, handle) = tasktrace::traced(inner);
    let mut task = pin!(task);
    let mut cx = Context::from_waker(waker);
    let mut poll = |times: usize| {
        allocations(|| {
            for _ in 0..times {
                assert!(task.as_mut().poll(&mut cx).is_pending());
            }
        })
    };
    // To be asked, each task must keep the waker that it was first polled with, and it has a table
    // for the other as a frame of it.
    assert!(poll(1) <= 8);
    assert_eq!(poll(1000), 0);
    assert!(capture(&handle, || assert!(poll(1) > 0)).contains("waits"));
    assert_eq!(poll(1000), 0);
}

#[test]
fn current_allocates_nothing() {
    let (task, handle) = tasktrace::traced(std::future::poll_fn(|_| {
        let found = allocations(|| {
            for _ in 0..1000 {
                let me = tasktrace::current().expect("in a task");
                assert!(!me.is_finished());
            }
        });
        Poll::Ready(found)
    }));
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(pin!(task).poll(&mut cx), Poll::Ready(0));
    assert!(handle.is_finished());
}

fn capture(handle: &TraceHandle, poll: impl FnOnce()) -> Trace {
    let mut cx = Context::from_waker(Waker::noop());
    let mut answer = pin!(handle.backtrace());
    assert!(answer.as_mut().poll(&mut cx).is_pending());
    poll();
    match answer.as_mut().poll(&mut cx) {
        Poll::Ready(Some(trace)) => trace,
        _ => panic!("a task that was polled has answered"),
    }
}

#[test]
fn a_capture_frees_what_it_has_allocated() {
    let _alone = alone();
    let (task, handle) = tasktrace::traced(waits());
    let mut task = pin!(task);
    let mut capture_and_print = || {
        let trace = capture(&handle, || {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(task.as_mut().poll(&mut cx).is_pending());
        });
        assert!(!trace.to_string().is_empty() && !format!("{trace:#}").is_empty());
        assert_eq!(trace.leaves().len(), 1);
    };
    keeps_nothing(&mut capture_and_print);
}

#[test]
fn a_task_frees_what_it_has_allocated() {
    let _alone = alone();
    let whole_life = |asked: bool| {
        let (task, handle) = tasktrace::traced(waits());
        let mut task = Box::pin(task);
        let mut poll = || {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(task.as_mut().poll(&mut cx).is_pending());
        };
        poll();
        let trace = asked.then(|| capture(&handle, poll));
        drop(task);
        assert!(handle.is_finished());
        drop((handle, trace));
    };
    for asked in [true, false] {
        keeps_nothing(|| whole_life(asked));
    }
}
