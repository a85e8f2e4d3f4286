//! Tests runtimes whose threads are all blocked.

use std::time::Instant;

use tasktrace::{NoAnswer, Source, TraceError};
use tasktrace_tests::multi_thread;
use tasktrace_tests::sampled::{
    BUDGET, LONG, Site, alone, dump_until, error, is_sample, sample_until,
};

use crate::support::sleep;

async fn blocks(site: Site) {
    sleep(&site);
}

async fn waits() {
    std::future::pending::<()>().await;
}

#[test]
fn blocked_workers_are_sampled_and_waiting_tasks_do_not_answer() {
    let _alone = alone();
    let (blocked, healthy) = (multi_thread(), multi_thread());
    let (task, healthy_handle) = tasktrace::traced(waits());
    healthy.spawn(task);
    let (task, waiting) = tasktrace::traced(waits());
    blocked.spawn(task);
    for handle in [&healthy_handle, &waiting] {
        dump_until(handle.id(), |task| *task.source() == Source::Capture);
    }

    let site = Site::default();
    let handles: Vec<_> = (0..2)
        .map(|_| {
            let (task, handle) = tasktrace::traced(blocks(site.clone()));
            blocked.spawn(task);
            handle
        })
        .collect();
    for handle in &handles {
        sample_until(handle.id(), |leaf| leaf.name() == "std::thread::sleep");
    }
    let start = Instant::now();
    let dump = tasktrace::dump_blocking(BUDGET);
    assert!(start.elapsed() < LONG);
    for handle in &handles {
        assert!(is_sample(dump.get(handle.id()).unwrap()), "{dump}");
    }
    let task = dump.get(healthy_handle.id()).unwrap();
    assert_eq!(*task.source(), Source::Capture, "{dump}");
    // No thread is left to poll the waiting task.
    let reason = NoAnswer::NotPolled;
    let no_answer = TraceError::NoAnswer {
        waited: BUDGET,
        reason,
    };
    let task = dump.get(waiting.id()).unwrap();
    assert_eq!(error(task), Some(&no_answer), "{dump}");
    site.end();
}
