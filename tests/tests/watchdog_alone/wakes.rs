//! Tests which tasks the watchdog wakes as probes, and the effects of that.

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
use crate::support::{Reports, SOON, wait_until, watchdog_without_limits};

fn poll<F: Future>(future: Pin<&mut F>, wakes: &Arc<Wakes>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(wakes));
    future.poll(&mut Context::from_waker(&waker))
}

async fn waits_all_along() {
    pending::<()>().await;
}

/// The test polls the task whenever it has been woken.
#[test]
fn a_task_is_probed_once_until_it_is_polled() {
    let _alone = alone();
    let reports = Reports::of(
        "waits_all_along",
        watchdog_without_limits().starved_after(SOON),
    );
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
    // The task is not polled any more.
    reports.next_is(Stall::Starved, Began, &handle);
    assert_eq!(wakes.count(), polls, "once for each poll");
    assert_eq!(handle.polls(), 1, "polls for the watchdog are not counted");
    // Another task is woken meanwhile, but not this one.
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
    // On a busy machine the task may be reported again before the next poll.
    wait_until(|| wakes.count() > polls);
}

#[test]
fn all_suspended_tasks_are_probed_in_turn() {
    let _alone = alone();
    let reports = Reports::of("waits_all_along", watchdog_without_limits());
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
fn no_task_is_probed_without_a_limit_that_needs_it() {
    let _alone = alone();
    let watchdog = watchdog_without_limits()
        .starved_after(Duration::MAX)
        .blocked_after(SOON);
    let reports = Reports::of("blocks_its_thread", watchdog);
    let wakes = Arc::<Wakes>::default();
    let mut future = pin!(tasktrace::traced(waits_all_along()).0);
    assert!(poll(future.as_mut(), &wakes).is_pending());
    // The watchdog scans, and then scans again.
    async fn blocks_its_thread(reports: &Reports) {
        let task = tasktrace::current().expect("this code runs in a task");
        reports.next_is(Stall::Blocked, Began, &task);
    }
    let blocked = pin!(tasktrace::traced(blocks_its_thread(&reports)).0);
    assert!(poll(blocked, &wakes).is_ready());
    reports.next();
    assert_eq!(wakes.count(), 0);
}

#[test]
fn a_probe_does_not_count_as_progress() {
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
    let nested = find().expect("the nested task is alive");
    let start = Instant::now();
    let reports = Reports::of("waits_all_along", watchdog_without_limits());
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

/// Returns the time for which a task has been suspended, which is known only while it is not polled.
fn suspended_for(task: &TraceHandle) -> Duration {
    loop {
        let polls = task.polls();
        if task.state() == TaskState::Suspended {
            let time = task.last_polled();
            if task.polls() == polls {
                return time.expect("the task has been polled");
            }
        }
    }
}

#[test]
fn a_waker_that_panics_does_not_end_the_watchdog() {
    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("an intended panic");
        }
    }

    let _alone = alone();
    let reports = Reports::of(
        "waits_all_along",
        watchdog_without_limits().starved_after(SOON),
    );
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
