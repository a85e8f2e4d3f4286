//! Measures a snapshot of a million suspended tasks, each inside an annotated call.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Waker};

use await_tree::InstrumentAwait as _;
use tasktrace_benches::cases::{async_backtrace_, plain, registry, tasktrace_};
use tasktrace_benches::stopwatch::Stopwatch;
use tasktrace_benches::{Alternative, Case, OURS, compare_in_rounds, header, is_bench};

fn main() {
    let tasks = if is_bench() { 1_000_000 } else { 1000 };
    let registry = registry();
    let ours = suspended(tasks, task);
    let framed = suspended(tasks, framed);
    let instrumented = suspended(tasks, || {
        let root = registry.register_anonymous("task");
        root.instrument(plain::waits().instrument_await("call"))
    });
    header("A snapshot");
    let alternatives: Vec<(&str, Alternative<'_>)> = vec![
        (
            OURS,
            once(|| {
                let snapshot = tasktrace::snapshot();
                assert_eq!(snapshot.len(), tasks);
                snapshot
            }),
        ),
        (
            "tasktrace, printed",
            once(|| tasktrace::snapshot().to_string()),
        ),
        // This alternative includes the text.
        (
            "async-backtrace",
            once(|| async_backtrace::taskdump_tree(true)),
        ),
        ("await-tree", once(|| registry.collect_all())),
    ];
    let name = "1,000,000 tasks";
    let measured = compare_in_rounds(5, Case { name, alternatives }, 1);
    measured.note("snapshot", &["async-backtrace", "await-tree"]);
    drop((ours, framed, instrumented));
}

#[tasktrace::traced]
async fn task() {
    tasktrace_::waits().await;
}

#[async_backtrace::framed]
async fn framed() {
    async_backtrace_::waits().await;
}

fn suspended<F: Future>(tasks: usize, make: impl Fn() -> F) -> Vec<Pin<Box<F>>> {
    let task = |_| {
        let mut task = Box::pin(make());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(task.as_mut().poll(&mut cx).is_pending());
        task
    };
    (0..tasks).map(task).collect()
}

/// Calls `make`, and drops its results when the clock has stopped.
fn once<'a, T>(make: impl Fn() -> T + 'a) -> Alternative<'a> {
    Box::new(move |times| {
        let start = Stopwatch::start();
        let made: Vec<T> = (0..times).map(|_| make()).collect();
        let elapsed = start.elapsed();
        black_box(made);
        elapsed
    })
}
