//! Tests requests that race with the end of a task, or with its move to another thread.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tasktrace::{TraceError, TraceHandle, current};
use tokio::runtime::{Builder, Runtime};

use crate::support::{LONG, Leaf, task};

fn two_threads() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap()
}

/// Yields a few times, so that requests find the task in all of its states.
async fn short_life(yields: usize) -> usize {
    for _ in 0..yields {
        tokio::task::yield_now().await;
    }
    yields
}

/// Requests traces both by blocking and by awaiting, on two threads, which end when the task has finished. They return
/// the number of answers.
fn request_repeatedly(handle: &TraceHandle) -> [std::thread::JoinHandle<usize>; 2] {
    let (blocking, awaiting) = (handle.clone(), handle.clone());
    [
        std::thread::spawn(move || {
            let mut answers = 0;
            loop {
                match blocking.backtrace_timeout(LONG) {
                    Ok(_) => answers += 1,
                    Err(TraceError::Finished) => return answers,
                    Err(error) => panic!("{error}"),
                }
            }
        }),
        std::thread::spawn(move || {
            pollster::block_on(async {
                let mut answers = 0;
                while awaiting.backtrace().await.is_some() {
                    answers += 1;
                }
                answers
            })
        }),
    ]
}

#[test]
fn requests_race_with_the_completion_of_a_task() {
    let runtime = two_threads();
    for yields in 0..300 {
        let (task, handle) = tasktrace::traced(short_life(yields % 30));
        let requesters = request_repeatedly(&handle);
        let task = runtime.spawn(task);
        assert_eq!(runtime.block_on(task).unwrap(), yields % 30);
        for requester in requesters {
            requester.join().unwrap();
        }
        assert!(handle.is_finished());
    }
}

#[test]
fn requests_race_with_the_cancellation_of_a_task() {
    let runtime = two_threads();
    for round in 0..300 {
        let (leaf, seen) = Leaf::new();
        let (task, handle) = tasktrace::traced(leaf);
        let requesters = request_repeatedly(&handle);
        let task = runtime.spawn(task);
        // The task is aborted before or after its first answer, at a time that depends on the round.
        crate::support::wait_until(|| seen.polls() >= round % 7);
        task.abort();
        assert!(runtime.block_on(task).unwrap_err().is_cancelled());
        for requester in requesters {
            requester.join().unwrap();
        }
    }
}

/// One thread drops the task while others request traces.
#[test]
fn requests_race_with_the_drop_of_a_task() {
    for round in 0..300 {
        let (mut task, handle) = task(Leaf::new().0);
        for _ in 0..round % 3 {
            assert!(task.poll().is_pending());
        }
        let wakes = Arc::clone(&task.wakes);
        let requesters = request_repeatedly(&handle);
        if round % 3 > 0 {
            crate::support::wait_until(|| wakes.count() > 0);
        }
        drop(task);
        for requester in requesters {
            assert_eq!(
                requester.join().unwrap(),
                0,
                "the task was not polled again"
            );
        }
    }
}

/// Requests are withdrawn, in time and too late, while others are answered.
#[test]
fn requests_can_be_withdrawn_while_others_are_answered() {
    let runtime = two_threads();
    let (leaf, seen) = Leaf::new();
    let (task, handle) = tasktrace::traced(leaf);
    let task = runtime.spawn(task);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                for micros in 0..2000 {
                    match handle.backtrace_timeout(Duration::from_micros(micros % 50)) {
                        Ok(_) | Err(TraceError::NoAnswer { .. } | TraceError::NeverPolled) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        threads.spawn(|| {
            for _ in 0..2000 {
                let mut request = Box::pin(handle.backtrace());
                let mut cx = Context::from_waker(Waker::noop());
                let _perhaps_answered = request.as_mut().poll(&mut cx);
            }
        });
        threads.spawn(|| {
            for _ in 0..500 {
                assert!(pollster::block_on(handle.backtrace()).is_some());
            }
        });
    });
    seen.finish();
    runtime.block_on(task).unwrap();
}

/// Two threads poll the task in turn, and either may capture it.
#[test]
fn a_task_that_moves_between_threads_answers_all_requests() {
    /// The state of two executors that poll one task in turn.
    struct Turns {
        polls: AtomicUsize,
        stop: AtomicBool,
    }

    async fn moves_between_threads(turns: Arc<Turns>) -> Vec<std::thread::ThreadId> {
        let mut threads = Vec::new();
        std::future::poll_fn(|cx| {
            let me = current().expect("in a task, on whatever thread");
            assert!(!me.is_finished());
            if threads.last() != Some(&std::thread::current().id()) {
                threads.push(std::thread::current().id());
            }
            turns.polls.fetch_add(1, Ordering::SeqCst);
            if turns.stop.load(Ordering::SeqCst) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            let _registered = cx.waker().clone();
            Poll::Pending
        })
        .await;
        threads
    }

    let turns = Arc::new(Turns {
        polls: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    });
    let (task, handle) = tasktrace::traced(moves_between_threads(Arc::clone(&turns)));
    let requesters = request_repeatedly(&handle);
    let (to_left, left) = std::sync::mpsc::channel::<std::pin::Pin<Box<_>>>();
    let (to_right, right) = std::sync::mpsc::channel();
    to_left.send(Box::pin(task)).unwrap();
    let mut threads = Vec::new();
    for (inbox, outbox) in [(left, to_right), (right, to_left)] {
        threads.push(std::thread::spawn(move || {
            for mut task in inbox {
                let waker = Waker::from(Arc::<crate::support::Wakes>::default());
                match task.as_mut().poll(&mut Context::from_waker(&waker)) {
                    Poll::Ready(threads) => return Some(threads),
                    Poll::Pending => outbox.send(task).unwrap(),
                }
                assert!(current().is_none());
            }
            None
        }));
    }
    crate::support::wait_until(|| turns.polls.load(Ordering::SeqCst) > 2000);
    turns.stop.store(true, Ordering::SeqCst);
    let moves: usize = threads
        .into_iter()
        .filter_map(|thread| thread.join().unwrap())
        .map(|threads: Vec<_>| threads.len())
        .sum();
    assert!(moves > 2000, "{moves}");
    for requester in requesters {
        assert!(requester.join().unwrap() > 0);
    }
}

/// The runtime steals work, with many tasks and a requester for each.
#[test]
fn tasks_on_a_work_stealing_runtime_answer_all_requests() {
    let runtime = two_threads();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (task, handle) = tasktrace::traced(async {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                    tokio::spawn(tokio::task::yield_now()).await.unwrap();
                }
            });
            (runtime.spawn(task), handle)
        })
        .collect();
    let (tasks, handles): (Vec<_>, Vec<_>) = tasks.into_iter().unzip();
    let requesters: Vec<_> = handles
        .iter()
        .cloned()
        .map(|handle| {
            runtime.spawn(async move {
                let mut last = None;
                while let Some(trace) = handle.backtrace().await {
                    last = Some(trace);
                }
                if let Some(last) = last {
                    assert!(!last.to_string().is_empty());
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for task in tasks.into_iter().chain(requesters) {
            task.await.unwrap();
        }
    });
    assert!(handles.iter().all(TraceHandle::is_finished));
}
