//! Who may ask, when, and what the answer is.

use std::future::Future as _;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use tasktrace::{NoAnswer, TraceError, TraceHandle, current};
use tokio::runtime::{Builder, Runtime};

use crate::support::{LONG, Leaf, ask, ask_from_thread, block_on, task};

fn current_thread() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn me() -> TraceHandle {
    current().expect("called in a task")
}

async fn asks_for_itself() {
    let trace = me().backtrace().await.expect("it is still running");
    assert!(trace.contains("asks_for_itself"), "{trace:#}");
    assert!(trace.contains("backtrace"), "what it waits for: {trace:#}");
}

async fn asks_in_a_select(leaf: Leaf) {
    let handle = me();
    let trace = tokio::select! {
        trace = handle.backtrace() => trace.unwrap(),
        () = leaf => unreachable!(),
    };
    assert!(trace.contains("asks_in_a_select"), "{trace:#}");
    assert_eq!(trace.leaves().len(), 2, "{trace}");
}

#[test]
fn a_task_asks_for_itself() {
    block_on(tasktrace::traced(asks_for_itself()).0);
    block_on(tasktrace::traced(asks_in_a_select(Leaf::new().0)).0);
    let runtime = current_thread();
    runtime.block_on(tasktrace::traced(asks_for_itself()).0);
    runtime.block_on(tasktrace::traced(asks_in_a_select(Leaf::new().0)).0);
}

/// Thousands of times, and several times at once.
#[test]
fn a_task_asks_for_itself_again_and_again() {
    let (task, _) = tasktrace::traced(async {
        for _ in 0..1000 {
            let handle = me();
            let (one, other) = tokio::join!(handle.backtrace(), handle.backtrace());
            assert_eq!(one.unwrap().to_string(), other.unwrap().to_string());
        }
    });
    block_on(task);
}

#[test]
fn two_tasks_ask_for_each_other() {
    let runtime = current_thread();
    runtime.block_on(async {
        let (to_one, one_is) = tokio::sync::oneshot::channel::<TraceHandle>();
        let (to_other, other_is) = tokio::sync::oneshot::channel::<TraceHandle>();
        let (one, handle) =
            tasktrace::traced(async move { one_is.await.unwrap().backtrace().await.is_some() });
        let (other, other_handle) =
            tasktrace::traced(async move { other_is.await.unwrap().backtrace().await.is_some() });
        assert!(to_one.send(other_handle).is_ok());
        assert!(to_other.send(handle).is_ok());
        let (one, other) = (tokio::spawn(one), tokio::spawn(other));
        // Who resolves first has an answer; the other may find it finished.
        assert!(one.await.unwrap() | other.await.unwrap());
    });
}

#[test]
fn a_task_asks_for_itself_through_another() {
    let runtime = current_thread();
    let (task, _) = tasktrace::traced(async {
        let handle = me();
        let asker = tokio::spawn(async move { handle.backtrace().await });
        asker.await.unwrap().expect("it waits for the answer")
    });
    let trace = runtime.block_on(task);
    assert_eq!(trace.leaves().len(), 1, "{trace}");
}

#[test]
fn a_task_cannot_block_for_its_own_trace() {
    let (inner, inner_handle) = tasktrace::traced(async { me() });
    let (task, handle) = tasktrace::traced(async move {
        let start = Instant::now();
        let mine = me();
        assert_eq!(
            mine.backtrace_timeout(LONG).unwrap_err(),
            TraceError::InsideOwnPoll
        );
        let inner_handle = inner_handle.clone();
        inner.await;
        // Of another task it may ask.
        assert_eq!(
            inner_handle.backtrace_timeout(LONG).unwrap_err(),
            TraceError::Finished
        );
        // Nor can a task within.
        let (within, _) = tasktrace::traced(async move { mine.backtrace_timeout(LONG) });
        assert_eq!(within.await.unwrap_err(), TraceError::InsideOwnPoll);
        assert!(start.elapsed() < LONG);
    });
    block_on(task);
    assert_eq!(
        handle.backtrace_timeout(LONG).unwrap_err(),
        TraceError::Finished
    );
}

/// The executor has one thread, and the asker blocks it.
#[test]
fn a_task_that_blocks_its_executor_has_no_answer() {
    let runtime = current_thread();
    let (task, handle) = tasktrace::traced(Leaf::new().0);
    runtime.block_on(async {
        let task = tokio::spawn(task);
        tokio::task::yield_now().await;
        let waited = Duration::from_millis(20);
        let error = handle.backtrace_timeout(waited).unwrap_err();
        assert_eq!(
            error,
            TraceError::NoAnswer {
                waited,
                reason: NoAnswer::NotPolled
            }
        );
        // It was taken back, and does no harm: the next has an answer.
        assert!(handle.backtrace().await.is_some());
        task.abort();
    });
}

#[test]
fn a_thread_for_blocking_asks() {
    let runtime = current_thread();
    runtime.block_on(async {
        let (task, handle) = tasktrace::traced(Leaf::new().0);
        let task = tokio::spawn(task);
        let asker = tokio::task::spawn_blocking(move || handle.backtrace_timeout(LONG));
        assert!(asker.await.unwrap().is_ok());
        task.abort();
    });
}

#[test]
fn a_thread_asks_for_the_task_that_waits_for_it() {
    let (task, handle) = tasktrace::traced(async {
        let mine = me();
        std::thread::scope(|threads| {
            let asker = threads.spawn(move || mine.backtrace_timeout(Duration::from_millis(20)));
            asker.join().unwrap().unwrap_err()
        })
    });
    let error = block_on(task);
    let TraceError::NoAnswer { reason, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(reason, NoAnswer::Running);
    assert!(handle.is_finished());
}

#[test]
fn a_task_that_is_never_polled() {
    let (task, handle) = tasktrace::traced(Leaf::new().0);
    assert_eq!(
        handle
            .backtrace_timeout(Duration::from_millis(1))
            .unwrap_err(),
        TraceError::NeverPolled
    );
    let mut asker = ask(&handle);
    drop(task);
    assert!(matches!(asker.poll(), Poll::Ready(None)));
    assert!(handle.is_finished());
}

/// A task that is asked before it is first polled is captured at its first poll.
#[test]
fn asked_before_the_first_poll() {
    let (leaf, seen) = Leaf::new();
    let (mut task, handle) = task(leaf);
    let mut asker = ask(&handle);
    assert!(task.poll().is_pending());
    assert_eq!((seen.polls(), seen.captures()), (1, 1));
    assert!(matches!(asker.poll(), Poll::Ready(Some(_))));
}

#[test]
fn a_request_is_dropped_in_each_of_its_states() {
    let (leaf, seen) = Leaf::new();
    let (mut task, handle) = task(leaf);

    // Never polled: nothing was asked.
    drop(handle.backtrace());
    assert!(task.poll().is_pending());
    assert_eq!((seen.captures(), task.wakes.count()), (0, 0));
    // Waiting.
    drop(ask(&handle));
    assert!(task.poll().is_pending());
    assert_eq!(seen.captures(), 0);
    // Answered, and not looked at.
    let asker = ask(&handle);
    assert!(task.poll().is_pending());
    assert_eq!((seen.captures(), asker.wakes.count()), (1, 1));
    drop(asker);
    // Resolved.
    let mut asker = ask(&handle);
    assert!(task.poll().is_pending());
    assert!(asker.poll().is_ready());
    drop(asker);
    // Waiting, when the task ends.
    let (waiting, mut told) = (ask(&handle), ask(&handle));
    drop(task);
    assert!(matches!(told.poll(), Poll::Ready(None)));
    drop((waiting, told));
    // Asked of a task that has ended.
    assert!(matches!(handle.backtrace().now_or_never(), Some(None)));
}

/// A request may be passed from one waker to another while it waits.
#[test]
fn a_request_that_moves() {
    let (mut task, handle) = task(Leaf::new().0);
    assert!(task.poll().is_pending());
    let mut asker = ask(&handle);
    let first = std::mem::take(&mut asker.wakes);
    assert!(asker.poll().is_pending());
    assert!(task.poll().is_pending());
    assert_eq!((first.count(), asker.wakes.count()), (0, 1));
    assert_eq!(Arc::strong_count(&first), 1);
    assert!(asker.poll().is_ready());
}

#[test]
fn the_question_of_a_future_that_resolves() {
    let (leaf, seen) = Leaf::new();
    let (mut task, handle) = task(leaf);
    assert!(task.poll().is_pending());
    let thread = ask_from_thread(&handle, &task.wakes);
    let mut asker = ask(&handle);
    seen.finish();
    // The poll is captured, but a task that has resolved waits nowhere.
    assert!(task.poll().is_ready());
    assert_eq!(seen.captures(), 1);
    assert!(matches!(asker.poll(), Poll::Ready(None)));
    assert_eq!(thread.join().unwrap().unwrap_err(), TraceError::Finished);
}

/// Some futures may be polled when they have resolved.
#[test]
fn a_fused_future_stays_finished() {
    let (mut task, handle) = task(std::future::ready(()).fuse());
    assert!(task.poll().is_ready());
    for _ in 0..2 {
        assert!(handle.is_finished());
        assert!(matches!(handle.backtrace().now_or_never(), Some(None)));
        assert_eq!(
            handle.backtrace_timeout(Duration::ZERO).unwrap_err(),
            TraceError::Finished
        );
        assert!(task.poll().is_pending());
    }
    assert_eq!(
        Arc::strong_count(&task.wakes),
        1,
        "no waker is kept to ask with"
    );
}

#[test]
fn the_handle_outlives_the_runtime() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let (task, handle) = tasktrace::traced(Leaf::new().0);
    runtime.spawn(task);
    assert!(handle.backtrace_timeout(LONG).is_ok());
    let copy = handle.clone();
    let mut pending = Box::pin(handle.backtrace());
    let mut cx = Context::from_waker(Waker::noop());
    let _answered_or_not = pending.as_mut().poll(&mut cx);
    runtime.shutdown_background();

    // The task is dropped by whichever thread shuts the runtime down.
    let asker = std::thread::spawn(move || {
        while !copy.is_finished() {
            let _ = copy.backtrace_timeout(Duration::from_millis(1));
        }
        copy.backtrace_timeout(LONG)
    });
    assert_eq!(asker.join().unwrap().unwrap_err(), TraceError::Finished);
    assert!(block_on(handle.backtrace()).is_none());
    assert!(format!("{handle:?}").contains("Finished"));
}

/// A runtime that is not driven does not answer, and one that is driven again does.
#[test]
fn a_runtime_that_stands_still() {
    let runtime = current_thread();
    let (task, handle) = tasktrace::traced(Leaf::new().0);
    runtime.spawn(task);
    runtime.block_on(tokio::task::yield_now());
    let error = handle
        .backtrace_timeout(Duration::from_millis(1))
        .unwrap_err();
    assert!(matches!(
        error,
        TraceError::NoAnswer {
            reason: NoAnswer::NotPolled,
            ..
        }
    ));
    assert!(runtime.block_on(handle.backtrace()).is_some());
    drop(runtime);
    assert!(handle.is_finished());
}

#[test]
fn the_longest_time_is_no_deadline() {
    let (mut task, handle) = task(Leaf::new().0);
    assert!(task.poll().is_pending());
    let wakes = Arc::clone(&task.wakes);
    let asker = std::thread::spawn(move || handle.backtrace_timeout(Duration::MAX));
    crate::support::wait_until(|| wakes.count() > 0);
    assert!(task.poll().is_pending());
    assert!(asker.join().unwrap().is_ok());
}

/// A handle is a value like any other: it may be kept in the task that it belongs to.
#[test]
fn a_task_that_owns_its_handle() {
    let slot: Arc<Mutex<Option<TraceHandle>>> = Arc::default();
    let mine = Arc::clone(&slot);
    let (mut task, handle) = task(async move {
        let _mine = mine;
        Leaf::new().0.await;
    });
    *slot.lock().unwrap() = Some(handle.clone());
    let weak = Arc::downgrade(&slot);
    drop(slot);
    assert!(task.poll().is_pending());
    let _asker = ask(&handle);
    drop(task);
    assert!(handle.is_finished());
    assert!(weak.upgrade().is_none(), "nothing keeps the future alive");
}
