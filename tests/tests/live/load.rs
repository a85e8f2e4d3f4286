//! Tests dumps without pause, while tasks start, end and are polled on all threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tasktrace::traced;

const TASKS: usize = 10_000;
const STEPS: usize = 8;

#[traced("task {number}")]
async fn work(number: usize, done: Arc<AtomicUsize>) {
    for step in 0..STEPS {
        step_of(number, step).await;
    }
    done.fetch_add(1, Ordering::Relaxed);
}

#[traced]
async fn step_of(number: usize, step: usize) {
    futures::join!(left(number, step), right());
}

#[traced("left {number} {step}")]
async fn left(number: usize, step: usize) {
    tokio::task::yield_now().await;
    let _ = (number, step);
}

#[traced]
async fn right() {
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
}

/// Asserts that each frame is below the function that calls it.
fn check(trace: &tasktrace::Trace) {
    let mut pending: Vec<(&str, &tasktrace::Frame)> =
        trace.frames().iter().map(|frame| ("", frame)).collect();
    while let Some((parent, frame)) = pending.pop() {
        let name = frame.name().rsplit("::").next().unwrap_or_default();
        let expected = match name {
            "work" => "",
            "step_of" => "work",
            "left" | "right" => "step_of",
            _ => continue,
        };
        assert_eq!(parent, expected, "{trace}");
        let is_labelled = frame.label().is_some();
        assert_eq!(is_labelled, matches!(name, "work" | "left"), "{trace}");
        pending.extend(frame.children().iter().map(|child| (name, child)));
    }
}

#[test]
fn tasks_finish_and_trees_are_correct_while_they_are_dumped() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let dumper = std::thread::spawn({
        let over = over.clone();
        move || {
            let mut seen = 0;
            while !over.load(Ordering::Relaxed) {
                let ours = |task: &tasktrace::TraceHandle| task.name().ends_with("load::work");
                for task in tasktrace::tasks().filter(ours) {
                    let snapshot = task.snapshot();
                    // Reading all trees would leave time for only a few snapshots.
                    if seen % 16 == 0 {
                        check(&snapshot);
                    }
                    seen += 1;
                }
            }
            seen
        }
    });
    let requester = std::thread::spawn({
        let over = over.clone();
        move || {
            while !over.load(Ordering::Relaxed) {
                let ours = |task: &tasktrace::TraceHandle| task.name().ends_with("load::work");
                for task in tasktrace::tasks().filter(ours).take(100) {
                    // Only a task that ends may leave a request without an answer.
                    let _ = task.backtrace_timeout(Duration::from_secs(60));
                }
            }
        }
    });
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|number| tokio::spawn(work(number, done.clone())))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    over.store(true, Ordering::Relaxed);
    dumper.join().unwrap();
    requester.join().unwrap();
    assert_eq!(done.load(Ordering::Relaxed), TASKS);
}
