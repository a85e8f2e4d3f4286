//! Tests that a capture costs one poll and one wake, and that no wake is lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use tasktrace::TraceHandle;
use tokio::sync::{mpsc, oneshot};

use crate::support::{Leaf, request_on_thread, start_request, task, wait_until};

#[test]
fn a_capture_costs_one_poll() {
    let (leaf, seen) = Leaf::new();
    let (mut task, handle) = task(leaf);
    assert!(task.poll().is_pending());
    assert_eq!((seen.polls(), task.wakes.count()), (1, 0));

    for round in 1..=100 {
        let mut request = start_request(&handle);
        assert_eq!(task.wakes.count(), round);
        assert_eq!(seen.polls(), round, "a request does not poll");
        assert!(task.poll().is_pending());
        assert_eq!((seen.polls(), seen.captures()), (1 + round, round));
        assert_eq!(request.wakes.count(), 1);
        assert!(matches!(request.poll(), Poll::Ready(Some(_))));
        assert_eq!(
            task.wakes.count(),
            round,
            "an answer wakes only the requester"
        );
    }

    assert!(task.poll().is_pending());
    assert_eq!(seen.captures(), 100, "there were no more requests");
    seen.finish();
    assert_eq!(
        task.wakes.count(),
        101,
        "the leaf registered the real waker"
    );
    assert!(task.poll().is_ready());
}

#[test]
fn requests_that_wait_at_the_same_time_share_one_capture() {
    let (leaf, seen) = Leaf::new();
    let (mut task, handle) = task(leaf);
    assert!(task.poll().is_pending());

    let runtimes = [
        tokio::runtime::Builder::new_current_thread(),
        tokio::runtime::Builder::new_multi_thread(),
    ]
    .map(|mut builder| Arc::new(builder.worker_threads(2).build().unwrap()));
    let threads: Vec<_> = (0..4)
        .map(|_| request_on_thread(&handle, &task.wakes))
        .collect();
    let from_runtimes: Vec<_> = runtimes
        .iter()
        .map(|runtime| {
            let (runtime, handle) = (Arc::clone(runtime), handle.clone());
            std::thread::spawn(move || {
                runtime.block_on(async {
                    futures::future::join_all((0..4).map(|_| {
                        let handle = handle.clone();
                        tokio::spawn(async move { handle.backtrace().await })
                    }))
                    .await
                })
            })
        })
        .collect();
    // Each of the twelve requests wakes the task.
    wait_until(|| task.wakes.count() == 12);
    assert_eq!(seen.polls(), 1);

    assert!(task.poll().is_pending());
    assert_eq!((seen.polls(), seen.captures()), (2, 1));
    let mut texts = Vec::new();
    for request in threads {
        texts.push(request.join().unwrap().unwrap().to_string());
    }
    for request in from_runtimes {
        let answers = request.join().unwrap().into_iter();
        texts.extend(answers.map(|answer| answer.unwrap().unwrap().to_string()));
    }
    assert_eq!(texts.len(), 12);
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:#?}");
    assert_eq!(task.wakes.count(), 12);
}

#[test]
fn a_cancelled_request_causes_no_capture() {
    let (leaf, seen) = Leaf::new();
    let (mut task, handle) = task(leaf);
    assert!(task.poll().is_pending());

    drop(start_request(&handle));
    assert!(task.poll().is_pending());
    assert_eq!((seen.polls(), seen.captures()), (2, 0));

    // One of two requests is withdrawn. The other is still answered.
    let cancelled = start_request(&handle);
    let mut kept = start_request(&handle);
    drop(cancelled);
    assert!(task.poll().is_pending());
    assert_eq!(seen.captures(), 1);
    assert!(matches!(kept.poll(), Poll::Ready(Some(_))));

    let error = handle.backtrace_timeout(Duration::ZERO).unwrap_err();
    assert!(matches!(error, tasktrace::TraceError::NoAnswer { .. }));
    assert!(task.poll().is_pending());
    assert_eq!(seen.captures(), 1, "the request was withdrawn");
}

/// A leaf may be woken while it is captured.
#[test]
fn a_wake_during_a_capture_is_not_lost() {
    let mut polls = 0;
    let (mut task, handle) = task(std::future::poll_fn(|cx| {
        polls += 1;
        match polls {
            // In the captured poll the leaf is registered, and woken before the poll returns.
            2 => {
                let registered = cx.waker().clone();
                registered.wake();
            }
            3 => return Poll::Ready(()),
            _ => {}
        }
        Poll::Pending
    }));
    assert!(task.poll().is_pending());
    let mut request = start_request(&handle);
    assert_eq!(task.wakes.count(), 1);
    assert!(task.poll().is_pending());
    assert_eq!(task.wakes.count(), 2);
    assert!(matches!(request.poll(), Poll::Ready(Some(_))));
    assert!(task.poll().is_ready());
}

/// An executor may pass a different waker to each poll of a task.
#[test]
fn a_request_wakes_the_latest_waker() {
    let (leaf, seen) = Leaf::new();
    let (mut task, handle) = task(leaf);
    assert!(task.poll().is_pending());
    let first = std::mem::take(&mut task.wakes);
    assert!(task.poll().is_pending());
    let second = Arc::clone(&task.wakes);

    let mut request = start_request(&handle);
    assert_eq!((first.count(), second.count()), (0, 1));
    // The captured poll has a third waker, and the leaf must have registered that one.
    task.wakes = Arc::default();
    assert!(task.poll().is_pending());
    assert!(matches!(request.poll(), Poll::Ready(Some(_))));
    seen.finish();
    assert_eq!((first.count(), second.count()), (0, 1));
    assert_eq!(task.wakes.count(), 1);
    assert_eq!(Arc::strong_count(&first), 1, "wakers of old are let go");
}

/// Sends and receives numbers in turn with another player, with a timer, a lock and a yield in between, until `enough`
/// is set and the other player is gone. Returns the count of received numbers.
async fn player(
    mut inbox: mpsc::Receiver<usize>,
    outbox: mpsc::Sender<usize>,
    lock: Arc<tokio::sync::Mutex<usize>>,
    enough: Arc<AtomicBool>,
) -> usize {
    let mut received = 0;
    while let Some(number) = inbox.recv().await {
        assert_eq!(number / 2, received, "in order, and each once");
        received += 1;
        tokio::select! {
            () = std::future::pending() => unreachable!(),
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
        *lock.lock().await += 1;
        tokio::task::yield_now().await;
        if enough.load(Ordering::Relaxed) || outbox.send(number + 1).await.is_err() {
            break;
        }
    }
    received
}

#[test]
fn a_task_does_all_of_its_work_during_ten_thousand_captures() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (to_ping, ping) = mpsc::channel(1);
        let (to_pong, pong) = mpsc::channel(1);
        let (lock, enough) = (Arc::default(), Arc::<AtomicBool>::default());
        to_ping.send(0).await.unwrap();
        let ping = player(ping, to_pong, Arc::clone(&lock), Arc::clone(&enough));
        let pong = player(pong, to_ping, Arc::clone(&lock), Arc::clone(&enough));
        let (ping, ping_handle) = tasktrace::traced(ping);
        let (pong, pong_handle) = tasktrace::traced(pong);
        let (ping, pong) = (tokio::spawn(ping), tokio::spawn(pong));

        for round in 0..10_000 {
            for handle in [&ping_handle, &pong_handle] {
                let trace = handle
                    .backtrace()
                    .await
                    .expect("the player runs until `enough` is set");
                if round % 1000 == 0 {
                    assert!(trace.contains("player"), "{trace:#}");
                }
            }
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        enough.store(true, Ordering::Relaxed);
        let played = *lock.lock().await;
        assert!(
            played > 1000,
            "requests must not stop the players: {played}"
        );
        let received = ping.await.unwrap() + pong.await.unwrap();
        assert_eq!(*lock.lock().await, received);
    });
}

/// The runtime has several threads, and several threads request traces without waiting for one another.
#[test]
fn a_task_does_all_of_its_work_while_threads_trace_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let (to_task, mut inbox) = mpsc::channel::<(usize, oneshot::Sender<usize>)>(4);
    let (task, handle) = tasktrace::traced(async move {
        let mut sum = 0;
        while let Some((number, reply)) = inbox.recv().await {
            tokio::task::yield_now().await;
            sum += number;
            reply.send(number + 1).unwrap();
        }
        sum
    });
    let task = runtime.spawn(task);
    let requests: Vec<_> = (0..4)
        .map(|_| {
            let handle = handle.clone();
            std::thread::spawn(move || {
                let mut answers = 0;
                while !handle.is_finished() {
                    answers +=
                        usize::from(handle.backtrace_timeout(Duration::from_secs(60)).is_ok());
                }
                answers
            })
        })
        .collect();
    runtime.block_on(async {
        for number in 0..5000 {
            let (reply, replied) = oneshot::channel();
            to_task.send((number, reply)).await.unwrap();
            assert_eq!(replied.await.unwrap(), number + 1);
        }
        drop(to_task);
        assert_eq!(task.await.unwrap(), (0..5000).sum::<usize>());
    });
    for request in requests {
        assert!(request.join().unwrap() > 0);
    }
}

/// The task makes no progress in a poll that only a request has caused.
#[test]
fn a_poll_for_a_cancelled_request_is_not_counted() {
    let (leaf, seen) = Leaf::new();
    let (mut task, handle) = task(leaf);
    assert!(task.poll().is_pending());
    for _ in 0..3 {
        drop(start_request(&handle));
        assert!(task.poll().is_pending());
    }
    assert_eq!((seen.polls(), handle.polls()), (4, 1));
    assert!(task.poll().is_pending());
    assert_eq!((seen.polls(), handle.polls()), (5, 2));
}

/// The second request comes during the capture for the first, and both get the same answer. The task is still woken for
/// the second.
#[test]
fn a_poll_for_an_answered_request_is_not_counted() {
    let known: Arc<OnceLock<TraceHandle>> = Arc::default();
    let (mut task, handle) = task({
        let known = Arc::clone(&known);
        let mut polls = 0;
        let mut second = None;
        std::future::poll_fn(move |cx| {
            std::hint::black_box(cx.waker().clone());
            polls += 1;
            match polls {
                1 => {}
                2 => second = Some(start_request(known.get().unwrap())),
                _ => assert!(second.take().is_none_or(|mut it| it.poll().is_ready())),
            }
            Poll::<()>::Pending
        })
    });
    known.set(handle.clone()).unwrap();
    assert!(task.poll().is_pending());
    let mut first = start_request(&handle);
    assert!(task.poll().is_pending());
    assert!(first.poll().is_ready());
    assert_eq!((task.wakes.count(), handle.polls()), (2, 1));
    assert!(task.poll().is_pending());
    assert_eq!(handle.polls(), 1, "the poll was only for a request");
    assert!(task.poll().is_pending());
    assert_eq!(handle.polls(), 2);
}

#[test]
fn a_captured_poll_that_panics_is_counted() {
    let mut polls = 0;
    let (mut task, handle) = task(std::future::poll_fn(move |_| {
        polls += 1;
        assert!(polls < 2, "the second poll panics");
        Poll::<()>::Pending
    }));
    assert!(task.poll().is_pending());
    let _asker = start_request(&handle);
    let poll = std::panic::AssertUnwindSafe(|| task.poll());
    assert!(std::panic::catch_unwind(poll).is_err());
    assert_eq!(handle.polls(), 2);
}
