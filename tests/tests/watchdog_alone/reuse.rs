//! Records that are used for one task after the other.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tasktrace::__private::live;
use tasktrace::StallPhase::{Began, Ended};
use tasktrace::{Stall, TraceHandle};
use tasktrace_tests::by_hand::suspend;

use crate::alone;
use crate::support::{Reports, SOON, indifferent, wait_until};

async fn is_dropped_starved() {
    pending::<()>().await;
}

fn starved() -> (Pin<Box<impl Future<Output = ()>>>, TraceHandle) {
    let (future, handle) = tasktrace::traced(is_dropped_starved());
    let mut future = Box::pin(future);
    suspend(future.as_mut());
    (future, handle)
}

/// Makes and drops tasks, each polled as often as those that are reported.
fn churn(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let mut tasks: Vec<_> = (0..100)
            .map(|_| Box::pin(tasktrace::traced(pending::<()>()).0))
            .collect();
        tasks.iter_mut().for_each(|task| suspend(task.as_mut()));
    }
}

#[test]
fn a_task_is_not_taken_for_another() {
    let _alone = alone();
    let stop = Arc::new(AtomicBool::new(false));
    let churns = [(), ()].map(|()| {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || churn(&stop))
    });
    let reports = Reports::of("is_dropped_starved", indifferent().starved_after(SOON));
    for _ in 0..20 {
        let (future, handle) = starved();
        reports.next_is(Stall::Starved, Began, &handle);
        let id = handle.id();
        drop((future, handle));
        // In a record that is free now, or will be.
        let (next_future, next) = starved();
        let ended = reports.next();
        assert_eq!((ended.phase(), ended.task().id()), (Ended, id), "\n{ended}");
        reports.next_is(Stall::Starved, Began, &next);
        drop(next_future);
        reports.next_is(Stall::Starved, Ended, &next);
    }
    stop.store(true, Ordering::Relaxed);
    for churn in churns {
        churn.join().unwrap();
    }
    reports.no_more();
}

/// Waits for it: a thread that wakes a task for the watchdog has a reference to that until it has returned.
fn nothing_is_live() {
    wait_until(|| live() == (0, 0));
}

#[test]
fn nothing_is_kept() {
    let _alone = alone();
    nothing_is_live();
    let reports = Reports::of("is_dropped_starved", indifferent().starved_after(SOON));
    let (future, handle) = starved();
    reports.next_is(Stall::Starved, Began, &handle);
    drop(future);
    reports.next_is(Stall::Starved, Ended, &handle);
    let (future, other) = starved();
    reports.next_is(Stall::Starved, Began, &other);
    drop((future, handle, other));
    drop(reports);
    nothing_is_live();
}
