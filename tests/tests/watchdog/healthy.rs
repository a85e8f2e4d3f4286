//! Tests that healthy tasks are not reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tasktrace::traced;
use tasktrace_tests::{current_thread, multi_thread};

use crate::support::{Reports, watchdog_without_limits};

/// Far longer than a poll takes here, and shorter than some of the tasks wait.
const LIMIT: Duration = Duration::from_secs(1);

#[traced("no. {number}")]
async fn works(number: u64, stop: Arc<AtomicBool>) {
    let mut round = number;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        match round % 4 {
            0 => tokio::time::sleep(Duration::from_millis(number % 50)).await,
            1 => futures::join!(step(), step()).0,
            _ => tokio::task::yield_now().await,
        }
    }
}

#[traced]
async fn step() {
    tokio::task::yield_now().await;
}

/// Waits for longer than the limit of a task that should be polled.
#[traced]
async fn works_now_and_then(stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(LIMIT + Duration::from_millis(200)).await;
        for _ in 0..100 {
            step().await;
        }
    }
}

#[test]
fn tasks_of_busy_runtimes_are_not_reported() {
    let watchdog = watchdog_without_limits()
        .starved_after(LIMIT)
        .blocked_after(LIMIT);
    let reports = Reports::of("watchdog::healthy::works", watchdog);
    let stop = Arc::new(AtomicBool::new(false));
    let runtimes = [multi_thread(), current_thread()];
    let threads = runtimes.map(|runtime| {
        let stop = stop.clone();
        std::thread::spawn(move || {
            runtime.block_on(async {
                let mut tasks: Vec<_> = (0..500)
                    .map(|number| tokio::spawn(works(number, stop.clone())))
                    .collect();
                tasks.extend((0..500).map(|_| tokio::spawn(works_now_and_then(stop.clone()))));
                for task in tasks {
                    task.await.unwrap();
                }
            });
        })
    });
    std::thread::sleep(4 * LIMIT);
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
    reports.no_more();
}
