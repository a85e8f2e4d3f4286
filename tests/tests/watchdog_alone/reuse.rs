//! Tests that the watchdog tells tasks apart that use the same task header.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tasktrace::__private::live;
use tasktrace::StallPhase::{Began, Ended};
use tasktrace::{Stall, TraceHandle};
use tasktrace_tests::by_hand::suspend;

use crate::alone;
use crate::support::{Reports, SOON, wait_until, watchdog_without_limits};

async fn is_dropped_starved() {
    pending::<()>().await;
}

fn starved() -> (Pin<Box<impl Future<Output = ()>>>, TraceHandle) {
    let (future, handle) = tasktrace::traced(is_dropped_starved());
    let mut future = Box::pin(future);
    suspend(future.as_mut());
    (future, handle)
}

/// Creates and drops tasks, each polled as often as the reported tasks.
fn create_and_drop_tasks(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let mut tasks: Vec<_> = (0..100)
            .map(|_| Box::pin(tasktrace::traced(pending::<()>()).0))
            .collect();
        tasks.iter_mut().for_each(|task| suspend(task.as_mut()));
    }
}

#[test]
fn a_task_in_a_reused_header_is_not_taken_for_the_former_one() {
    let _alone = alone();
    let stop = Arc::new(AtomicBool::new(false));
    let churns = [(), ()].map(|()| {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || create_and_drop_tasks(&stop))
    });
    let reports = Reports::of(
        "is_dropped_starved",
        watchdog_without_limits().starved_after(SOON),
    );
    for _ in 0..20 {
        let (future, handle) = starved();
        reports.next_is(Stall::Starved, Began, &handle);
        let id = handle.id();
        drop((future, handle));
        // The next task uses a header that is free now, or will be.
        let (next_future, next) = starved();
        let ended = reports.next();
        assert_eq!((ended.phase(), ended.task().id()), (Ended, id), "\n{ended}");
        reports.next_is(Stall::Starved, Began, &next);
        drop(next_future);
        reports.next_is(Stall::Starved, Ended, &next);
    }
    stop.store(true, Ordering::Relaxed);
    for create_and_drop_tasks in churns {
        create_and_drop_tasks.join().unwrap();
    }
    reports.no_more();
}

/// Waits until no task header is left. A thread that wakes a task for the watchdog keeps a reference to it until the
/// waker has returned.
fn wait_until_nothing_is_live() {
    wait_until(|| live() == (0, 0));
}

#[test]
fn the_watchdog_keeps_no_header() {
    let _alone = alone();
    wait_until_nothing_is_live();
    let reports = Reports::of(
        "is_dropped_starved",
        watchdog_without_limits().starved_after(SOON),
    );
    let (future, handle) = starved();
    reports.next_is(Stall::Starved, Began, &handle);
    drop(future);
    reports.next_is(Stall::Starved, Ended, &handle);
    let (future, other) = starved();
    reports.next_is(Stall::Starved, Began, &other);
    drop((future, handle, other));
    drop(reports);
    wait_until_nothing_is_live();
}
