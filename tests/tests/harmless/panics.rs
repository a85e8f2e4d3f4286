//! A panic passes through a traced poll as if nothing were there.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures::FutureExt as _;
use tasktrace::{TaskState, Trace, TraceError, current};

use crate::support::{Driver, LONG, Leaf, ask, ask_from_thread, block_on, is_captured, task};

/// A payload that is told from all others.
#[derive(Debug, PartialEq)]
struct Payload(Box<u64>);

fn payload(number: u64) -> Payload {
    Payload(Box::new(number))
}

/// Panics at the polls given, without calling the panic hook.
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

/// Polls, and expects the panic of that poll.
#[track_caller]
fn caught<F: Future>(task: &mut Driver<F>, number: u64) {
    let panic = catch_unwind(AssertUnwindSafe(|| task.poll().is_ready())).unwrap_err();
    assert_eq!(*panic.downcast::<Payload>().unwrap(), payload(number));
    assert!(current().is_none(), "the thread is as it was");
    assert!(Trace::here().is_none());
}

#[test]
fn the_payload_is_unchanged() {
    let (mut task, _handle) = task(panic_at(&[1]));
    caught(&mut task, 1);
}

#[test]
fn in_a_capture_who_asked_is_answered() {
    let (mut task, handle) = task(panic_at(&[2]));
    assert!(task.poll().is_pending());
    let thread = ask_from_thread(&handle, &task.wakes);
    let mut asker = ask(&handle);

    caught(&mut task, 2);
    assert!(matches!(asker.poll(), Poll::Ready(None)));
    assert_eq!(thread.join().unwrap().unwrap_err(), TraceError::Panicked);
    assert!(
        !handle.is_finished(),
        "whether it is polled again is for its owner to decide"
    );
    drop(task);
    assert!(handle.is_finished());
    assert_eq!(
        handle.backtrace_timeout(LONG).unwrap_err(),
        TraceError::Finished
    );
}

#[test]
fn panics_of_a_hook_that_takes_a_trace() {
    // A payload of `panic_any` goes through the hook, which is the process's: in this test it is
    // the one that prints. What a hook does here, anything that runs while unwinding can do.
    struct OnUnwind;
    impl Drop for OnUnwind {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            let trace = Trace::here().expect("it is still in the poll");
            assert!(trace.contains("falls"), "{trace:#}");
            assert!(current().is_some());
        }
    }
    async fn falls() {
        let _on_unwind = OnUnwind;
        std::future::poll_fn(|_| -> Poll<()> { panic_any(payload(7)) }).await;
    }
    let (mut task, _handle) = task(falls());
    caught(&mut task, 7);
}

/// Not every future is poisoned by its panic.
#[test]
fn a_future_that_is_polled_again_can_be_asked_again() {
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
    let mut asker = ask(&handle);
    caught(&mut task, 2);
    assert!(matches!(asker.poll(), Poll::Ready(None)));

    let mut asker = ask(&handle);
    assert_eq!(
        task.wakes.count(),
        2,
        "the waker of the poll that panicked is still good"
    );
    assert!(task.poll().is_pending());
    assert!(matches!(asker.poll(), Poll::Ready(Some(_))));
}

/// The thread that goes on need not have polled a task before.
#[test]
fn a_poll_after_a_panic_is_known_to_be_of_its_thread() {
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
    caught(&mut task, 2);
    let other = std::thread::Builder::new().name("other".to_owned());
    let other = other.spawn(move || task.poll()).unwrap();
    let Poll::Ready(Some(TaskState::Running(running))) = other.join().unwrap() else {
        panic!("it was in a poll");
    };
    assert_eq!(running.thread_name(), Some("other"));
    assert!(handle.is_finished());
}

#[test]
fn a_panic_of_the_first_poll() {
    let (mut task, handle) = task(panic_at(&[1]));
    let mut asker = ask(&handle);
    caught(&mut task, 1);
    assert!(matches!(asker.poll(), Poll::Ready(None)));
}

/// An async fn that has panicked panics when it is polled again. That is not ours to prevent.
#[test]
fn a_poisoned_future_is_still_answered_for() {
    let (mut task, handle) = task(panic_at(&[1]));
    caught(&mut task, 1);
    for _ in 0..2 {
        let mut asker = ask(&handle);
        assert!(catch_unwind(AssertUnwindSafe(|| task.poll().is_ready())).is_err());
        assert!(matches!(asker.poll(), Poll::Ready(None)));
        assert!(current().is_none());
    }
}

#[test]
fn a_panic_that_the_task_catches() {
    let (leaf, seen) = Leaf::new();
    let (mut task, handle) = task(async move {
        let mut caught = std::pin::pin!(AssertUnwindSafe(panic_at(&[2])).catch_unwind());
        let panic = tokio::select! {
            biased;
            panic = &mut caught => panic.unwrap_err(),
            () = Leaf(Arc::default()) => unreachable!(),
        };
        assert!(current().is_some(), "the task goes on");
        leaf.await;
        *panic.downcast::<Payload>().unwrap()
    });
    assert!(task.poll().is_pending());
    let mut asker = ask(&handle);
    assert!(task.poll().is_pending());
    assert_eq!(seen.captures(), 1);
    let Poll::Ready(Some(trace)) = asker.poll() else {
        panic!("the task did not panic");
    };
    assert!(trace.contains("Leaf::poll"), "{trace:#}");
    seen.finish();
    assert_eq!(task.poll(), Poll::Ready(payload(2)));
}

/// A task in a task: the panic of the inner goes through the captures of both.
#[test]
fn a_panic_of_a_nested_task() {
    let (inner, inner_handle) = tasktrace::traced(panic_at(&[2]));
    let (mut outer, outer_handle) = task(async move {
        let caught = AssertUnwindSafe(inner).catch_unwind().await;
        assert_eq!(current().unwrap().id(), current().unwrap().id());
        caught.unwrap_err()
    });
    assert!(outer.poll().is_pending());
    let (mut inner_asker, mut outer_asker) = (ask(&inner_handle), ask(&outer_handle));
    let Poll::Ready(panic) = outer.poll() else {
        panic!("the inner task panics, and the outer catches it");
    };
    assert_eq!(*panic.downcast::<Payload>().unwrap(), payload(2));
    assert!(matches!(inner_asker.poll(), Poll::Ready(None)));
    assert!(
        matches!(outer_asker.poll(), Poll::Ready(None)),
        "it has finished"
    );
    assert!(current().is_none());
}

/// The destructor of a future that panics is not the end of those who wait for it.
#[test]
fn a_panic_while_the_future_is_dropped() {
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

    // Dropped from outside.
    let (mut dropped, handle) = task(armed());
    assert!(dropped.poll().is_pending());
    let mut asker = ask(&handle);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(dropped))).is_err());
    assert!(matches!(asker.poll(), Poll::Ready(None)));
    assert!(handle.is_finished());

    // Dropped by the poll that is being captured.
    let mut bomb = Some(Bomb);
    let (mut polled, handle) = task(std::future::poll_fn(move |cx| {
        if is_captured(cx, &cx.waker().clone()) {
            drop(bomb.take());
        }
        Poll::<()>::Pending
    }));
    assert!(polled.poll().is_pending());
    let mut asker = ask(&handle);
    caught(&mut polled, 3);
    assert!(matches!(asker.poll(), Poll::Ready(None)));
}

/// Executors catch panics of tasks: what they drop while they do so is a future whose poll was on
/// the stack a moment ago.
#[test]
fn a_panic_on_an_executor() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    for _ in 0..100 {
        let (task, handle) = tasktrace::traced(panic_at(&[2]));
        let task = runtime.spawn(task);
        // The requests are what makes for a second poll.
        let asked = loop {
            if let Err(error) = handle.backtrace_timeout(LONG) {
                break error;
            }
        };
        assert!(
            matches!(asked, TraceError::Panicked | TraceError::Finished),
            "{asked}"
        );
        let panic = runtime.block_on(task).unwrap_err().into_panic();
        assert_eq!(*panic.downcast::<Payload>().unwrap(), payload(2));
        assert!(handle.is_finished());
    }
}

/// Wakers are the executor's code, and may panic too.
#[test]
fn a_waker_of_an_asker_that_panics() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            resume_unwind(Box::new(payload(4)));
        }
    }
    let (leaf, _seen) = Leaf::new();
    let (mut task, handle) = task(leaf);
    assert!(task.poll().is_pending());
    let mut first = ask(&handle);
    let mut panics = Box::pin(handle.backtrace());
    let waker = Waker::from(Arc::new(Panics));
    assert!(
        panics
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    let mut last = ask(&handle);
    let thread = ask_from_thread(&handle, &task.wakes);

    // It is neither the task that has panicked, nor who has asked beside.
    assert!(task.poll().is_pending());
    assert!(matches!(first.poll(), Poll::Ready(Some(_))));
    assert!(matches!(last.poll(), Poll::Ready(Some(_))));
    assert_eq!(last.wakes.count(), 1);
    assert!(thread.join().unwrap().is_ok());
    assert!(block_on(panics).is_some());
    assert!(current().is_none());
}
