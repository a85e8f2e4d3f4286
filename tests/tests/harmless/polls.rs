//! Polls and wakes are counted: one more of each for a capture, and none is lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use tasktrace::TraceHandle;
use tokio::sync::{mpsc, oneshot};

use crate::support::{Leaf, ask, ask_from_thread, task, wait_until};

#[test]
fn a_capture_is_one_poll() {
    let (leaf, seen) = Leaf::new();
    let (mut task, handle) = task(leaf);
    assert!(task.poll().is_pending());
    assert_eq!((seen.polls(), task.wakes.count()), (1, 0));

    for asked in 1..=100 {
        let mut asker = ask(&handle);
        assert_eq!(task.wakes.count(), asked);
        assert_eq!(seen.polls(), asked, "asking does not poll");
        assert!(task.poll().is_pending());
        assert_eq!((seen.polls(), seen.captures()), (1 + asked, asked));
        assert_eq!(asker.wakes.count(), 1);
        assert!(matches!(asker.poll(), Poll::Ready(Some(_))));
        assert_eq!(
            task.wakes.count(),
            asked,
            "an answer wakes nobody but who asked"
        );
    }

    assert!(task.poll().is_pending());
    assert_eq!(seen.captures(), 100, "nobody has asked since");
    seen.finish();
    assert_eq!(
        task.wakes.count(),
        101,
        "what the leaf registered is the real waker"
    );
    assert!(task.poll().is_ready());
}

#[test]
fn requests_that_wait_together_share_a_capture() {
    let (leaf, seen) = Leaf::new();
    let (mut task, handle) = task(leaf);
    assert!(task.poll().is_pending());

    let runtimes = [
        tokio::runtime::Builder::new_current_thread(),
        tokio::runtime::Builder::new_multi_thread(),
    ]
    .map(|mut builder| Arc::new(builder.worker_threads(2).build().unwrap()));
    let threads: Vec<_> = (0..4)
        .map(|_| ask_from_thread(&handle, &task.wakes))
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
    // Each request wakes the task, and there are twelve of them.
    wait_until(|| task.wakes.count() == 12);
    assert_eq!(seen.polls(), 1);

    assert!(task.poll().is_pending());
    assert_eq!((seen.polls(), seen.captures()), (2, 1));
    let mut texts = Vec::new();
    for asker in threads {
        texts.push(asker.join().unwrap().unwrap().to_string());
    }
    for asker in from_runtimes {
        let answers = asker.join().unwrap().into_iter();
        texts.extend(answers.map(|answer| answer.unwrap().unwrap().to_string()));
    }
    assert_eq!(texts.len(), 12);
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:#?}");
    assert_eq!(task.wakes.count(), 12);
}

#[test]
fn a_cancelled_request_leaves_no_capture_behind() {
    let (leaf, seen) = Leaf::new();
    let (mut task, handle) = task(leaf);
    assert!(task.poll().is_pending());

    drop(ask(&handle));
    assert!(task.poll().is_pending());
    assert_eq!((seen.polls(), seen.captures()), (2, 0));

    // One of two is taken back: the other is still answered.
    let cancelled = ask(&handle);
    let mut kept = ask(&handle);
    drop(cancelled);
    assert!(task.poll().is_pending());
    assert_eq!(seen.captures(), 1);
    assert!(matches!(kept.poll(), Poll::Ready(Some(_))));

    let error = handle.backtrace_timeout(Duration::ZERO).unwrap_err();
    assert!(matches!(error, tasktrace::TraceError::NoAnswer { .. }));
    assert!(task.poll().is_pending());
    assert_eq!(seen.captures(), 1, "it is not asked any more");
}

/// The wake that a leaf gets while it is captured must not be lost.
#[test]
fn a_wake_during_the_capture_counts() {
    let mut polls = 0;
    let (mut task, handle) = task(std::future::poll_fn(|cx| {
        polls += 1;
        match polls {
            // The capture: the leaf is registered, and ready before the poll has returned.
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
    let mut asker = ask(&handle);
    assert_eq!(task.wakes.count(), 1);
    assert!(task.poll().is_pending());
    assert_eq!(task.wakes.count(), 2);
    assert!(matches!(asker.poll(), Poll::Ready(Some(_))));
    assert!(task.poll().is_ready());
}

/// Every executor may hand a task another waker at each poll.
#[test]
fn the_latest_waker_is_the_one_to_wake() {
    let (leaf, seen) = Leaf::new();
    let (mut task, handle) = task(leaf);
    assert!(task.poll().is_pending());
    let first = std::mem::take(&mut task.wakes);
    assert!(task.poll().is_pending());
    let second = Arc::clone(&task.wakes);

    let mut asker = ask(&handle);
    assert_eq!((first.count(), second.count()), (0, 1));
    // Captured with a third: the leaf must have the third.
    task.wakes = Arc::default();
    assert!(task.poll().is_pending());
    assert!(matches!(asker.poll(), Poll::Ready(Some(_))));
    seen.finish();
    assert_eq!((first.count(), second.count()), (0, 1));
    assert_eq!(task.wakes.count(), 1);
    assert_eq!(Arc::strong_count(&first), 1, "wakers of old are let go");
}

/// One of two tasks that send each other a number, with a timer, a lock and a yield in between,
/// until `enough` and the other is gone. Returns how many numbers it was sent.
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
fn a_task_asked_ten_thousand_times_does_all_of_its_work() {
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

        for asked in 0..10_000 {
            for handle in [&ping_handle, &pong_handle] {
                let trace = handle.backtrace().await.expect("it plays until it is told");
                if asked % 1000 == 0 {
                    assert!(trace.contains("player"), "{trace:#}");
                }
            }
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        enough.store(true, Ordering::Relaxed);
        let played = *lock.lock().await;
        assert!(
            played > 1000,
            "asking must not keep them from playing: {played}"
        );
        let received = ping.await.unwrap() + pong.await.unwrap();
        assert_eq!(*lock.lock().await, received);
    });
}

/// The same on threads that really run at once, asked by threads that do not wait for one another.
#[test]
fn a_task_besieged_by_threads_does_all_of_its_work() {
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
    let askers: Vec<_> = (0..4)
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
    for asker in askers {
        assert!(asker.join().unwrap() > 0);
    }
}

/// The task has not gone on in a poll that only a request has caused.
#[test]
fn a_poll_for_a_cancelled_request_is_not_counted() {
    let (leaf, seen) = Leaf::new();
    let (mut task, handle) = task(leaf);
    assert!(task.poll().is_pending());
    for _ in 0..3 {
        drop(ask(&handle));
        assert!(task.poll().is_pending());
    }
    assert_eq!((seen.polls(), handle.polls()), (4, 1));
    assert!(task.poll().is_pending());
    assert_eq!((seen.polls(), handle.polls()), (5, 2));
}

/// The request comes while the task is captured for another, and the same answer is for both. The task is woken
/// for it all the same.
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
                2 => second = Some(ask(known.get().unwrap())),
                _ => assert!(second.take().is_none_or(|mut it| it.poll().is_ready())),
            }
            Poll::<()>::Pending
        })
    });
    known.set(handle.clone()).unwrap();
    assert!(task.poll().is_pending());
    let mut first = ask(&handle);
    assert!(task.poll().is_pending());
    assert!(first.poll().is_ready());
    assert_eq!((task.wakes.count(), handle.polls()), (2, 1));
    assert!(task.poll().is_pending());
    assert_eq!(handle.polls(), 1, "it has been woken for a request only");
    assert!(task.poll().is_pending());
    assert_eq!(handle.polls(), 2);
}

#[test]
fn a_captured_poll_that_panics_is_counted() {
    let mut polls = 0;
    let (mut task, handle) = task(std::future::poll_fn(move |_| {
        polls += 1;
        assert!(polls < 2, "as the test has it");
        Poll::<()>::Pending
    }));
    assert!(task.poll().is_pending());
    let _asker = ask(&handle);
    let poll = std::panic::AssertUnwindSafe(|| task.poll());
    assert!(std::panic::catch_unwind(poll).is_err());
    assert_eq!(handle.polls(), 2);
}
