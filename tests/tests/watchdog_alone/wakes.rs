//! What is woken to see whether it is polled, and what comes of it.

use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use tasktrace::StallPhase::{Began, Ended};
use tasktrace::{Stall, TaskState, TraceHandle};
use tasktrace_tests::by_hand::Wakes;
use tasktrace_tests::current_thread;

use crate::alone;
use crate::support::{Reports, SOON, indifferent, wait_until};

fn poll<F: Future>(future: Pin<&mut F>, wakes: &Arc<Wakes>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(wakes));
    future.poll(&mut Context::from_waker(&waker))
}

async fn waits_all_along() {
    pending::<()>().await;
}

/// A hand that polls what has been woken.
#[test]
fn once_until_it_is_polled() {
    let _alone = alone();
    let reports = Reports::of("waits_all_along", indifferent().starved_after(SOON));
    let wakes = Arc::<Wakes>::default();
    let (future, handle) = tasktrace::traced(waits_all_along());
    let mut future = pin!(future);
    assert!(poll(future.as_mut(), &wakes).is_pending());
    let mut polls = 1;
    for round in 1..=5 {
        wait_until(|| wakes.count() >= round);
        assert!(poll(future.as_mut(), &wakes).is_pending());
        polls += 1;
    }
    // Nobody polls it any more.
    reports.next_is(Stall::Starved, Began, &handle);
    assert_eq!(wakes.count(), polls, "once for each poll");
    assert_eq!(handle.polls(), 1, "polls for the watchdog are not counted");
    // Somebody else is woken meanwhile, but not this one.
    let others = Arc::<Wakes>::default();
    let (other, _handle) = tasktrace::traced(pending::<()>());
    let mut other = pin!(other);
    for round in 1..=5 {
        assert!(poll(other.as_mut(), &others).is_pending());
        wait_until(|| others.count() >= round);
    }
    assert_eq!(wakes.count(), polls);

    assert!(poll(future.as_mut(), &wakes).is_pending());
    reports.next_is(Stall::Starved, Ended, &handle);
    // It is reported again if it is not polled soon, which is up to how busy the machine is.
    wait_until(|| wakes.count() > polls);
}

#[test]
fn each_in_its_turn() {
    let _alone = alone();
    let reports = Reports::of("waits_all_along", indifferent());
    let wakes: Vec<_> = (0..5).map(|_| Arc::<Wakes>::default()).collect();
    let mut futures: Vec<_> = wakes
        .iter()
        .map(|wakes| {
            let mut future = Box::pin(tasktrace::traced(waits_all_along()).0);
            assert!(poll(future.as_mut(), wakes).is_pending());
            future
        })
        .collect();
    let count = || wakes.iter().map(|wakes| wakes.count()).sum::<usize>();
    for round in 1..=50 {
        wait_until(|| count() >= round);
        for (future, wakes) in futures.iter_mut().zip(&wakes) {
            assert!(poll(future.as_mut(), wakes).is_pending());
        }
    }
    for wakes in &wakes {
        assert!(wakes.count() >= 9, "woken {} times of 50", wakes.count());
    }
    reports.no_more();
}

#[test]
fn nobody_if_nobody_is_to_be_reported() {
    let _alone = alone();
    let watchdog = indifferent()
        .starved_after(Duration::MAX)
        .blocked_after(SOON);
    let reports = Reports::of("blocks_its_thread", watchdog);
    let wakes = Arc::<Wakes>::default();
    let mut future = pin!(tasktrace::traced(waits_all_along()).0);
    assert!(poll(future.as_mut(), &wakes).is_pending());
    // The watchdog looks, and looks for more.
    async fn blocks_its_thread(reports: &Reports) {
        let task = tasktrace::current().expect("it is polled");
        reports.next_is(Stall::Blocked, Began, &task);
    }
    let blocked = pin!(tasktrace::traced(blocks_its_thread(&reports)).0);
    assert!(poll(blocked, &wakes).is_ready());
    reports.next();
    assert_eq!(wakes.count(), 0);
}

#[test]
fn is_no_progress() {
    let _alone = alone();
    let polls = Arc::new(AtomicUsize::new(0));
    let (future, handle) = tasktrace::traced({
        let polls = Arc::clone(&polls);
        async move {
            let mut inner = pin!(tasktrace::traced(waits_all_along()).0);
            poll_fn(|cx| {
                polls.fetch_add(1, Ordering::SeqCst);
                inner.as_mut().poll(cx)
            })
            .await;
        }
    });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(|| {
        current_thread().block_on(async {
            tokio::spawn(future);
            let _ = stopped.await;
        });
    });
    let find = || tasktrace::tasks().find(|task| task.parent() == Some(handle.id()));
    wait_until(|| find().is_some_and(|nested| nested.polls() > 0));
    let nested = find().expect("it goes on");
    let start = Instant::now();
    let reports = Reports::of("waits_all_along", indifferent());
    let before = polls.load(Ordering::SeqCst);
    wait_until(|| polls.load(Ordering::SeqCst) > before + 10);
    for task in [&handle, &nested] {
        let elapsed = start.elapsed();
        let suspended = suspended_for(task);
        assert!(suspended >= elapsed, "{suspended:?} < {elapsed:?}");
    }
    drop(stop);
    thread.join().unwrap();
    reports.no_more();
}

/// For how long a task has been suspended, which is told while it is not polled.
fn suspended_for(task: &TraceHandle) -> Duration {
    loop {
        let polls = task.polls();
        if task.state() == TaskState::Suspended {
            let time = task.last_polled();
            if task.polls() == polls {
                return time.expect("it has been polled");
            }
        }
    }
}

#[test]
fn a_waker_that_panics_harms_nobody() {
    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("as it has to be");
        }
    }

    let _alone = alone();
    let reports = Reports::of("waits_all_along", indifferent().starved_after(SOON));
    let (future, handle) = tasktrace::traced(waits_all_along());
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Panics));
    assert!(
        future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    reports.next_is(Stall::Starved, Began, &handle);
}
