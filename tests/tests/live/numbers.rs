//! Tests that the numbers reported for tasks are correct, and consistent with each other.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tasktrace::{TaskState, TracedExt, traced};

use crate::dumping::{while_dumping, without_dumps};
use crate::support::{DrivenTask, frames, wait_for_ever};
use crate::woken::Woken;

#[test]
fn tasks_on_several_threads_are_numbered_in_the_order_of_their_creation() {
    let make = || traced(wait_for_ever()).1.id();
    let (ask_other, requests) = mpsc::channel::<()>();
    let (send_id, ids) = mpsc::channel();
    let other = thread::spawn(move || {
        for () in requests {
            send_id.send(make()).expect("the test waits for the number");
        }
    });
    let mut last = make();
    for _ in 0..5 {
        ask_other.send(()).expect("the other thread runs");
        let others = ids.recv().expect("the other thread runs");
        let own = make();
        assert!(last < others && others < own, "{last} {others} {own}");
        last = own;
    }
    drop(ask_other);
    other.join().expect("the other thread ends without a panic");
}

#[test]
fn polls_for_a_trace_are_not_counted() {
    let _undisturbed = without_dumps();
    let mut task = DrivenTask::new(wait_for_ever());
    for polls in 1..4 {
        task.suspend();
        for _ in 0..3 {
            task.capture();
        }
        assert_eq!(task.handle.polls(), polls);
    }
}

/// Nor are the polls counted that follow because a capture woke the children.
#[test]
fn polls_for_a_trace_of_children_are_not_counted() {
    let _undisturbed = without_dumps();
    let (task, handle) = traced(async {
        let children: FuturesUnordered<_> =
            (0..3).map(|_| wait_for_ever().traced("child")).collect();
        children.for_each(|()| async {}).await;
    });
    let mut task = pin!(task);
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    let mut run = move || {
        while woken.0.swap(false, Ordering::SeqCst) {
            assert!(task.as_mut().poll(&mut cx).is_pending());
        }
    };
    run();
    let polls = handle.polls();
    for _ in 0..3 {
        let mut request = Box::pin(handle.backtrace());
        let mut request_cx = Context::from_waker(Waker::noop());
        assert!(request.as_mut().poll(&mut request_cx).is_pending());
        run();
        assert!(request.as_mut().poll(&mut request_cx).is_ready());
    }
    assert_eq!(handle.polls(), polls);
}

/// A dump takes time, during which ages grow.
#[test]
fn no_frame_is_older_than_its_task() {
    let _alone = while_dumping();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    for round in 0..100 {
        let task = runtime.spawn(async move {
            let inner = wait_for_ever().traced(format!("inner {round}"));
            traced(async { inner.traced("outer").await }).0.await;
        });
        let dump = match round % 2 {
            0 => tasktrace::dump_blocking(Duration::from_secs(10)),
            _ => tasktrace::snapshot(),
        };
        for task in &dump {
            let age = task.age();
            assert!(task.last_polled() <= Some(age), "{dump}");
            if let TaskState::Running(running) = task.state() {
                assert!(running.duration() <= age, "{dump}");
            }
            for frame in frames(task.trace()) {
                assert!(frame.age() <= Some(age), "{frame:?}: {dump}");
            }
        }
        task.abort();
    }
}

/// The task is not polled again, so the dump reads its tree when the time for an answer is over.
#[test]
fn ages_in_a_dump_refer_to_its_start() {
    let _alone = while_dumping();
    let (task, handle) = traced(async { wait_for_ever().traced("inner").await });
    let mut task = pin!(task);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(task.as_mut().poll(&mut cx).is_pending());
    let dump = tasktrace::dump_blocking(Duration::from_secs(3));
    let task = dump.get(handle.id()).expect("the task is alive");
    let polled = task.last_polled().expect("the task was polled");
    let ages = frames(task.trace())
        .into_iter()
        .filter_map(|frame| frame.age());
    let ages: Vec<Duration> = ages.collect();
    assert!(!ages.is_empty(), "{dump}");
    for age in ages {
        assert!(
            age.abs_diff(polled) < Duration::from_secs(1),
            "{age:?}, {polled:?}"
        );
    }
}
