//! Numbers that are told of tasks: they are true, and agree with each other.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tasktrace::{TaskState, TracedExt, traced};

use crate::support::{DrivenTask, frames, wait_for_ever};

/// Whichever threads make them.
#[test]
fn tasks_are_numbered_in_the_order_in_which_they_are_made() {
    let make = || traced(wait_for_ever()).1.id();
    let (asks, asked) = mpsc::channel::<()>();
    let (tells, told) = mpsc::channel();
    let other = thread::spawn(move || {
        for () in asked {
            tells.send(make()).expect("it is waited for");
        }
    });
    let mut last = make();
    for _ in 0..5 {
        asks.send(()).expect("it goes on");
        let others = told.recv().expect("it goes on");
        let own = make();
        assert!(last < others && others < own, "{last} {others} {own}");
        last = own;
    }
    drop(asks);
    other.join().expect("it does not panic");
}

/// A waker that notes that it was woken.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn polls_that_are_made_for_a_trace_are_not_counted() {
    let mut task = DrivenTask::new(wait_for_ever());
    for polls in 1..4 {
        task.suspend();
        for _ in 0..3 {
            task.capture();
        }
        assert_eq!(task.handle.polls(), polls);
    }
}

/// Neither those that follow because children were woken for it.
#[test]
fn polls_that_are_made_for_a_trace_of_children_are_not_counted() {
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
        let mut asked = Box::pin(handle.backtrace());
        let mut asker = Context::from_waker(Waker::noop());
        assert!(asked.as_mut().poll(&mut asker).is_pending());
        run();
        assert!(asked.as_mut().poll(&mut asker).is_ready());
    }
    assert_eq!(handle.polls(), polls);
}

/// In a dump, which is not taken in a moment.
#[test]
fn nothing_is_older_than_its_task() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("there can be threads");
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

/// Nobody polls it again, so it is looked at when the time for an answer is over.
#[test]
fn ages_in_a_dump_are_of_the_moment_at_which_it_begins() {
    let (task, handle) = traced(async { wait_for_ever().traced("inner").await });
    let mut task = pin!(task);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(task.as_mut().poll(&mut cx).is_pending());
    let dump = tasktrace::dump_blocking(Duration::from_secs(3));
    let task = dump.get(handle.id()).expect("it goes on");
    let polled = task.last_polled().expect("it was polled");
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
