//! Tests that a panic passes through a traced poll unchanged, and that requests are answered.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures::FutureExt as _;
use tasktrace::{TaskState, Trace, TraceError, current};

use crate::support::{
    Driver, LONG, Leaf, block_on, is_captured, request_on_thread, start_request, task,
};

/// A payload that can be told from all others.
#[derive(Debug, PartialEq)]
struct Payload(Box<u64>);

fn payload(number: u64) -> Payload {
    Payload(Box::new(number))
}

/// Panics at the given polls, without calling the panic hook.
async fn panic_at(polls: &'static [usize]) {
    let mut poll = 0;
    std::future::poll_fn(move |cx| {
        poll += 1;
        let _registered = cx.waker().clone();
        if polls.contains(&poll) {
            resume_unwind(Box::new(payload(poll as u64)));
        }
        Poll::<()>::Pending
    })
    .await;
}

/// Polls the task, and asserts that poll `number` panics with its own payload.
#[track_caller]
fn expect_panic<F: Future>(task: &mut Driver<F>, number: u64) {
    let panic = catch_unwind(AssertUnwindSafe(|| task.poll().is_ready())).unwrap_err();
    assert_eq!(*panic.downcast::<Payload>().unwrap(), payload(number));
    assert!(current().is_none(), "the thread is in no task");
    assert!(Trace::here().is_none());
}

#[test]
fn a_panic_keeps_its_payload() {
    let (mut task, _handle) = task(panic_at(&[1]));
    expect_panic(&mut task, 1);
}

#[test]
fn a_panicking_poll_still_answers_waiting_requests() {
    let (mut task, handle) = task(panic_at(&[2]));
    assert!(task.poll().is_pending());
    let thread = request_on_thread(&handle, &task.wakes);
    let mut request = start_request(&handle);

    expect_panic(&mut task, 2);
    assert!(matches!(request.poll(), Poll::Ready(None)));
    assert_eq!(thread.join().unwrap().unwrap_err(), TraceError::Panicked);
    assert!(
        !handle.is_finished(),
        "a task that panicked may be polled again"
    );
    drop(task);
    assert!(handle.is_finished());
    assert_eq!(
        handle.backtrace_timeout(LONG).unwrap_err(),
        TraceError::Finished
    );
}

#[test]
fn a_panic_hook_can_take_a_trace() {
    // `panic_any` calls the panic hook of the process, which in this test is the default hook, and prints. A destructor
    // that runs while the task unwinds can do the same as a hook.
    struct OnUnwind;
    impl Drop for OnUnwind {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            let trace = Trace::here().expect("the destructor runs in the poll");
            assert!(trace.contains("panics_on_poll"), "{trace:#}");
            assert!(current().is_some());
        }
    }
    async fn panics_on_poll() {
        let _on_unwind = OnUnwind;
        std::future::poll_fn(|_| -> Poll<()> { panic_any(payload(7)) }).await;
    }
    let (mut task, _handle) = task(panics_on_poll());
    expect_panic(&mut task, 7);
}

/// Not every future is poisoned by its panic.
#[test]
fn a_future_that_is_polled_after_its_panic_answers_again() {
    let mut polls = 0;
    let (mut task, handle) = task(std::future::poll_fn(move |cx| {
        polls += 1;
        let _registered = cx.waker().clone();
        if polls == 2 {
            resume_unwind(Box::new(payload(2)));
        }
        Poll::<()>::Pending
    }));
    assert!(task.poll().is_pending());
    let mut request = start_request(&handle);
    expect_panic(&mut task, 2);
    assert!(matches!(request.poll(), Poll::Ready(None)));

    let mut request = start_request(&handle);
    assert_eq!(
        task.wakes.count(),
        2,
        "the waker of the poll that panicked is still good"
    );
    assert!(task.poll().is_pending());
    assert!(matches!(request.poll(), Poll::Ready(Some(_))));
}

/// The next poll is on a thread that has polled no task before.
#[test]
fn a_poll_after_a_panic_reports_the_thread_that_it_is_on() {
    let mut polls = 0;
    let (mut task, handle) = task(std::future::poll_fn(move |_| {
        polls += 1;
        match polls {
            2 => resume_unwind(Box::new(payload(2))),
            3 => Poll::Ready(current().map(|task| task.state())),
            _ => Poll::Pending,
        }
    }));
    assert!(task.poll().is_pending());
    expect_panic(&mut task, 2);
    let other = std::thread::Builder::new().name("other".to_owned());
    let other = other.spawn(move || task.poll()).unwrap();
    let Poll::Ready(Some(TaskState::Running(running))) = other.join().unwrap() else {
        panic!("the task was in a poll");
    };
    assert_eq!(running.thread_name(), Some("other"));
    assert!(handle.is_finished());
}

#[test]
fn a_panic_in_the_first_poll_is_reported() {
    let (mut task, handle) = task(panic_at(&[1]));
    let mut request = start_request(&handle);
    expect_panic(&mut task, 1);
    assert!(matches!(request.poll(), Poll::Ready(None)));
}

/// An async fn that has panicked panics again when it is polled again. The library does not prevent that.
#[test]
fn a_request_to_a_poisoned_future_is_still_answered() {
    let (mut task, handle) = task(panic_at(&[1]));
    expect_panic(&mut task, 1);
    for _ in 0..2 {
        let mut request = start_request(&handle);
        assert!(catch_unwind(AssertUnwindSafe(|| task.poll().is_ready())).is_err());
        assert!(matches!(request.poll(), Poll::Ready(None)));
        assert!(current().is_none());
    }
}

#[test]
fn a_task_that_catches_a_panic_is_captured_after_it() {
    let (leaf, seen) = Leaf::new();
    let (mut task, handle) = task(async move {
        let mut expect_panic = std::pin::pin!(AssertUnwindSafe(panic_at(&[2])).catch_unwind());
        let panic = tokio::select! {
            biased;
            panic = &mut expect_panic => panic.unwrap_err(),
            () = Leaf(Arc::default()) => unreachable!(),
        };
        assert!(current().is_some(), "the task goes on");
        leaf.await;
        *panic.downcast::<Payload>().unwrap()
    });
    assert!(task.poll().is_pending());
    let mut request = start_request(&handle);
    assert!(task.poll().is_pending());
    assert_eq!(seen.captures(), 1);
    let Poll::Ready(Some(trace)) = request.poll() else {
        panic!("the task did not panic");
    };
    assert!(trace.contains("Leaf::poll"), "{trace:#}");
    seen.finish();
    assert_eq!(task.poll(), Poll::Ready(payload(2)));
}

/// The panic of the inner task passes through the captures of both tasks.
#[test]
fn a_panic_of_a_nested_task_ends_only_that_task() {
    let (inner, inner_handle) = tasktrace::traced(panic_at(&[2]));
    let (mut outer, outer_handle) = task(async move {
        let caught = AssertUnwindSafe(inner).catch_unwind().await;
        assert_eq!(current().unwrap().id(), current().unwrap().id());
        caught.unwrap_err()
    });
    assert!(outer.poll().is_pending());
    let (mut inner_request, mut outer_request) =
        (start_request(&inner_handle), start_request(&outer_handle));
    let Poll::Ready(panic) = outer.poll() else {
        panic!("the inner task panics, and the outer catches it");
    };
    assert_eq!(*panic.downcast::<Payload>().unwrap(), payload(2));
    assert!(matches!(inner_request.poll(), Poll::Ready(None)));
    assert!(
        matches!(outer_request.poll(), Poll::Ready(None)),
        "the task has finished"
    );
    assert!(current().is_none());
}

#[test]
fn a_panic_while_a_future_is_dropped_answers_waiting_requests() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            resume_unwind(Box::new(payload(3)));
        }
    }
    async fn armed() {
        let _bomb = Bomb;
        std::future::pending::<()>().await;
    }

    // The future is dropped outside of a poll.
    let (mut dropped, handle) = task(armed());
    assert!(dropped.poll().is_pending());
    let mut request = start_request(&handle);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(dropped))).is_err());
    assert!(matches!(request.poll(), Poll::Ready(None)));
    assert!(handle.is_finished());

    // The future is dropped by the poll that is being captured.
    let mut bomb = Some(Bomb);
    let (mut polled, handle) = task(std::future::poll_fn(move |cx| {
        if is_captured(cx, &cx.waker().clone()) {
            drop(bomb.take());
        }
        Poll::<()>::Pending
    }));
    assert!(polled.poll().is_pending());
    let mut request = start_request(&handle);
    expect_panic(&mut polled, 3);
    assert!(matches!(request.poll(), Poll::Ready(None)));
}

/// An executor catches panics of tasks, and then drops a future whose poll was on the stack a moment ago.
#[test]
fn an_executor_can_catch_the_panic_of_a_task() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    for _ in 0..100 {
        let (task, handle) = tasktrace::traced(panic_at(&[2]));
        let task = runtime.spawn(task);
        // The requests cause the second poll.
        let error = loop {
            if let Err(error) = handle.backtrace_timeout(LONG) {
                break error;
            }
        };
        assert!(
            matches!(error, TraceError::Panicked | TraceError::Finished),
            "{error}"
        );
        let panic = runtime.block_on(task).unwrap_err().into_panic();
        assert_eq!(*panic.downcast::<Payload>().unwrap(), payload(2));
        assert!(handle.is_finished());
    }
}

/// Wakers are the executor's code, and may panic.
#[test]
fn a_panicking_waker_of_one_requester_does_not_affect_the_others() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            resume_unwind(Box::new(payload(4)));
        }
    }
    let (leaf, _seen) = Leaf::new();
    let (mut task, handle) = task(leaf);
    assert!(task.poll().is_pending());
    let mut first = start_request(&handle);
    let mut panics = Box::pin(handle.backtrace());
    let waker = Waker::from(Arc::new(Panics));
    assert!(
        panics
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    let mut last = start_request(&handle);
    let thread = request_on_thread(&handle, &task.wakes);

    // The panic reaches neither the task nor the other requesters.
    assert!(task.poll().is_pending());
    assert!(matches!(first.poll(), Poll::Ready(Some(_))));
    assert!(matches!(last.poll(), Poll::Ready(Some(_))));
    assert_eq!(last.wakes.count(), 1);
    assert!(thread.join().unwrap().is_ok());
    assert!(block_on(panics).is_some());
    assert!(current().is_none());
}
