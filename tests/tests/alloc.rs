//! Tests that tracing allocates nothing in an ordinary poll, and keeps no memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tasktrace::{Trace, TraceHandle};

/// An allocator that counts for each thread, so that tests do not disturb each other.
struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

/// The number of bytes that all threads have allocated and not freed.
static ALL_BYTES: AtomicIsize = AtomicIsize::new(0);

fn count(calls: usize, bytes: isize) {
    ALL_BYTES.fetch_add(bytes, Ordering::Relaxed);
    // `CALLS` and `BYTES` have no destructors, so they exist even when the thread frees memory at its end.
    let _ = CALLS.try_with(|count| count.set(count.get() + calls));
    let _ = BYTES.try_with(|count| count.set(count.get() + bytes));
}

// SAFETY: each method passes its arguments unchanged to `System`, whose contract is the same. `count` neither allocates
// nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size().cast_signed());
        // SAFETY: `GlobalAlloc` requires the same of this function's caller as of `System`'s, and all memory is
        // `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, -layout.size().cast_signed());
        // SAFETY: `GlobalAlloc` requires the same of this function's caller as of `System`'s, and all memory is
        // `System`'s.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size.cast_signed() - layout.size().cast_signed());
        // SAFETY: `GlobalAlloc` requires the same of this function's caller as of `System`'s, and all memory is
        // `System`'s.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Held by each test: threads share the memory that the library keeps, so a test would count the memory of another.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Returns the number of allocations that `run` makes.
fn allocations(run: impl FnOnce()) -> usize {
    let before = CALLS.get();
    run();
    CALLS.get() - before
}

/// Returns the number of bytes that `run` allocates and does not free.
fn kept(run: impl FnOnce()) -> isize {
    let before = BYTES.get();
    run();
    BYTES.get() - before
}

/// Panics if each of many runs keeps some bytes.
///
/// The thread that has woken a task frees the request, which may be after the requester has the answer. So all threads
/// are counted. The header of a task that was captured stays in its free list with its request slot until another task
/// reuses it. So the first rounds of runs may keep the bytes of some request slots, and later rounds reuse them. The
/// allocations that the test harness and the library's threads make meanwhile are few compared with the number of runs.
fn keeps_nothing(mut run: impl FnMut()) {
    const RUNS: isize = 500;
    const ROUNDS: usize = 20;
    // The first run allocates the memory that the process keeps.
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
fn the_counters_count() {
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
fn a_poll_without_a_request_allocates_nothing() {
    struct Ignored;
    impl Wake for Ignored {
        fn wake(self: Arc<Self>) {}
    }
    check_polls(&Waker::from(Arc::new(Ignored)));
    // The compiler copies the table of this waker into each crate, so the waker may compare unequal to itself.
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
    // To answer requests, each task keeps the waker of its first poll, and its side table holds the other task as a
    // frame.
    assert!(poll(1) <= 8);
    assert_eq!(poll(1000), 0);
    assert!(capture(&handle, || assert!(poll(1) > 0)).contains("waits"));
    assert_eq!(poll(1000), 0);
}

#[test]
fn the_current_task_is_found_without_allocations() {
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
