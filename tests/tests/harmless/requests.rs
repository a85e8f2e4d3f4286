//! Tests which code may request a trace, when, and what it gets.

use std::future::Future as _;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use tasktrace::{NoAnswer, TraceError, TraceHandle, current};
use tokio::runtime::{Builder, Runtime};

use crate::support::{LONG, Leaf, block_on, request_on_thread, start_request, task};

fn current_thread() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn current_task() -> TraceHandle {
    current().expect("called in a task")
}

async fn traces_itself() {
    let trace = current_task()
        .backtrace()
        .await
        .expect("the task is running");
    assert!(trace.contains("traces_itself"), "{trace:#}");
    assert!(trace.contains("backtrace"), "what it waits for: {trace:#}");
}

async fn traces_itself_in_a_select(leaf: Leaf) {
    let handle = current_task();
    let trace = tokio::select! {
        trace = handle.backtrace() => trace.unwrap(),
        () = leaf => unreachable!(),
    };
    assert!(trace.contains("traces_itself_in_a_select"), "{trace:#}");
    assert_eq!(trace.leaves().len(), 2, "{trace}");
}

#[test]
fn a_task_can_trace_itself() {
    block_on(tasktrace::traced(traces_itself()).0);
    block_on(tasktrace::traced(traces_itself_in_a_select(Leaf::new().0)).0);
    let runtime = current_thread();
    runtime.block_on(tasktrace::traced(traces_itself()).0);
    runtime.block_on(tasktrace::traced(traces_itself_in_a_select(Leaf::new().0)).0);
}

/// The task does this thousands of times, and several times at once.
#[test]
fn a_task_can_trace_itself_thousands_of_times() {
    let (task, _) = tasktrace::traced(async {
        for _ in 0..1000 {
            let handle = current_task();
            let (one, other) = tokio::join!(handle.backtrace(), handle.backtrace());
            assert_eq!(one.unwrap().to_string(), other.unwrap().to_string());
        }
    });
    block_on(task);
}

#[test]
fn two_tasks_can_trace_each_other() {
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
        // The task that resolves first has its answer. The other may find the first one finished.
        assert!(one.await.unwrap() | other.await.unwrap());
    });
}

#[test]
fn a_task_can_trace_itself_through_another_task() {
    let runtime = current_thread();
    let (task, _) = tasktrace::traced(async {
        let handle = current_task();
        let request = tokio::spawn(async move { handle.backtrace().await });
        request
            .await
            .unwrap()
            .expect("the other task waits for the answer")
    });
    let trace = runtime.block_on(task);
    assert_eq!(trace.leaves().len(), 1, "{trace}");
}

#[test]
fn a_task_cannot_block_for_its_own_trace() {
    let (inner, inner_handle) = tasktrace::traced(async { current_task() });
    let (task, handle) = tasktrace::traced(async move {
        let start = Instant::now();
        let mine = current_task();
        assert_eq!(
            mine.backtrace_timeout(LONG).unwrap_err(),
            TraceError::InsideOwnPoll
        );
        let inner_handle = inner_handle.clone();
        inner.await;
        // It may block for the trace of another task.
        assert_eq!(
            inner_handle.backtrace_timeout(LONG).unwrap_err(),
            TraceError::Finished
        );
        // Nor can a task that is polled inside of it.
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

/// The executor has one thread, and the requester blocks it.
#[test]
fn a_request_that_blocks_the_only_thread_of_the_executor_is_not_answered() {
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
        // The request was withdrawn, and does no harm: the next one is answered.
        assert!(handle.backtrace().await.is_some());
        task.abort();
    });
}

#[test]
fn a_blocking_thread_can_trace_a_task() {
    let runtime = current_thread();
    runtime.block_on(async {
        let (task, handle) = tasktrace::traced(Leaf::new().0);
        let task = tokio::spawn(task);
        let request = tokio::task::spawn_blocking(move || handle.backtrace_timeout(LONG));
        assert!(request.await.unwrap().is_ok());
        task.abort();
    });
}

#[test]
fn a_task_that_blocks_on_a_thread_does_not_answer_it() {
    let (task, handle) = tasktrace::traced(async {
        let mine = current_task();
        std::thread::scope(|threads| {
            let request = threads.spawn(move || mine.backtrace_timeout(Duration::from_millis(20)));
            request.join().unwrap().unwrap_err()
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
fn a_task_that_is_never_polled_does_not_answer() {
    let (task, handle) = tasktrace::traced(Leaf::new().0);
    assert_eq!(
        handle
            .backtrace_timeout(Duration::from_millis(1))
            .unwrap_err(),
        TraceError::NeverPolled
    );
    let mut request = start_request(&handle);
    drop(task);
    assert!(matches!(request.poll(), Poll::Ready(None)));
    assert!(handle.is_finished());
}

#[test]
fn a_request_before_the_first_poll_is_answered_by_the_first_poll() {
    let (leaf, seen) = Leaf::new();
    let (mut task, handle) = task(leaf);
    let mut request = start_request(&handle);
    assert!(task.poll().is_pending());
    assert_eq!((seen.polls(), seen.captures()), (1, 1));
    assert!(matches!(request.poll(), Poll::Ready(Some(_))));
}

#[test]
fn a_request_can_be_dropped_in_each_of_its_states() {
    let (leaf, seen) = Leaf::new();
    let (mut task, handle) = task(leaf);

    // Never polled: no request was made.
    drop(handle.backtrace());
    assert!(task.poll().is_pending());
    assert_eq!((seen.captures(), task.wakes.count()), (0, 0));
    // Waiting for the answer.
    drop(start_request(&handle));
    assert!(task.poll().is_pending());
    assert_eq!(seen.captures(), 0);
    // Answered, but the answer was not taken.
    let request = start_request(&handle);
    assert!(task.poll().is_pending());
    assert_eq!((seen.captures(), request.wakes.count()), (1, 1));
    drop(request);
    // Resolved.
    let mut request = start_request(&handle);
    assert!(task.poll().is_pending());
    assert!(request.poll().is_ready());
    drop(request);
    // Waiting when the task ends.
    let (waiting, mut ended) = (start_request(&handle), start_request(&handle));
    drop(task);
    assert!(matches!(ended.poll(), Poll::Ready(None)));
    drop((waiting, ended));
    // Made after the task ended.
    assert!(matches!(handle.backtrace().now_or_never(), Some(None)));
}

#[test]
fn a_waiting_request_can_change_its_waker() {
    let (mut task, handle) = task(Leaf::new().0);
    assert!(task.poll().is_pending());
    let mut request = start_request(&handle);
    let first = std::mem::take(&mut request.wakes);
    assert!(request.poll().is_pending());
    assert!(task.poll().is_pending());
    assert_eq!((first.count(), request.wakes.count()), (0, 1));
    assert_eq!(Arc::strong_count(&first), 1);
    assert!(request.poll().is_ready());
}

#[test]
fn a_request_to_a_future_that_resolves_reports_that_it_finished() {
    let (leaf, seen) = Leaf::new();
    let (mut task, handle) = task(leaf);
    assert!(task.poll().is_pending());
    let thread = request_on_thread(&handle, &task.wakes);
    let mut request = start_request(&handle);
    seen.finish();
    // The poll is a capture, but a task that has resolved waits for nothing.
    assert!(task.poll().is_ready());
    assert_eq!(seen.captures(), 1);
    assert!(matches!(request.poll(), Poll::Ready(None)));
    assert_eq!(thread.join().unwrap().unwrap_err(), TraceError::Finished);
}

/// A fused future may be polled again after it resolved.
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
        "a finished task keeps no waker"
    );
}

#[test]
fn a_handle_reports_that_its_task_finished_after_the_runtime_is_gone() {
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

    // The thread that shuts the runtime down drops the task.
    let request = std::thread::spawn(move || {
        while !copy.is_finished() {
            let _ = copy.backtrace_timeout(Duration::from_millis(1));
        }
        copy.backtrace_timeout(LONG)
    });
    assert_eq!(request.join().unwrap().unwrap_err(), TraceError::Finished);
    assert!(block_on(handle.backtrace()).is_none());
    assert!(format!("{handle:?}").contains("Finished"));
}

#[test]
fn a_runtime_answers_only_while_it_is_driven() {
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
fn the_longest_duration_is_no_deadline() {
    let (mut task, handle) = task(Leaf::new().0);
    assert!(task.poll().is_pending());
    let wakes = Arc::clone(&task.wakes);
    let request = std::thread::spawn(move || handle.backtrace_timeout(Duration::MAX));
    crate::support::wait_until(|| wakes.count() > 0);
    assert!(task.poll().is_pending());
    assert!(request.join().unwrap().is_ok());
}

#[test]
fn a_task_can_own_its_handle_without_a_leak() {
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
    let _asker = start_request(&handle);
    drop(task);
    assert!(handle.is_finished());
    assert!(weak.upgrade().is_none(), "nothing keeps the future alive");
}
