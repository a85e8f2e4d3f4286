//! Measures the executor's time for a capture of ten thousand tasks that are ten async functions deep: tasktrace, and
//! tokio's task dump.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tasktrace::{Source, TaskDump};
use tasktrace_benches::executor::Executor;
use tasktrace_benches::shapes::{Task, annotated, outermost, plain};
use tasktrace_benches::stopwatch::Stopwatch;
use tasktrace_benches::{Alternative, Case, OURS, compare, compare_in_rounds, header};
use tokio::runtime::Handle;
use tokio::runtime::dump::Trace;

const TASKS: usize = 10_000;

fn main() {
    let executor = Executor::start();
    header("A capture, per task: what the executor's thread is busy with it");
    let alternatives: Vec<(&str, Alternative<'_>)> = vec![
        ("tokio", in_tasks(&executor, plain::task, dump_with_tokio)),
        (
            "tasktrace, the outermost function annotated",
            in_tasks(&executor, outermost::task, dump),
        ),
        (OURS, in_tasks(&executor, annotated::task, dump)),
    ];
    let case = Case {
        name: "10,000 tasks, ten frames deep",
        alternatives,
    };
    compare_in_rounds(11, case, 1).note("capture", &["tokio"]);

    // These rows have no goal, because tokio's dump knows nothing about a future between its polls.
    header("A poll, nobody asks");
    let alternatives: Vec<(&str, Alternative<'_>)> = vec![
        (OURS, polls(|| tasktrace::traced(std::future::pending()))),
        ("tokio", polls(|| (Trace::root(std::future::pending()), ()))),
    ];
    let name = "root: a poll";
    compare(Case { name, alternatives }, 100_000);
}

/// Calls `work` while the tasks exist, and returns the executor's time per task.
fn in_tasks<'a>(
    executor: &'a Executor,
    make: fn(usize) -> Task,
    work: fn(&Executor),
) -> Alternative<'a> {
    Box::new(move |times| {
        let _tasks = executor.fill((0..TASKS).map(make));
        let before = executor.busy();
        for _ in 0..times {
            work(executor);
            // The executor also polls the tasks that the capture has woken.
            executor.settle();
        }
        (executor.busy() - before) / TASKS as u32
    })
}

fn dump(_: &Executor) {
    let dump = tasktrace::dump_blocking(Duration::from_secs(10));
    // One task may be in the middle of its poll, if the thread has to wait for a processor.
    let shown = |task: &&TaskDump| !matches!(task.source(), Source::Snapshot { .. });
    assert_eq!(dump.tasks().filter(shown).count(), TASKS);
}

fn dump_with_tokio(executor: &Executor) {
    let dump = executor.run(async { Handle::current().dump().await });
    assert_eq!(dump.tasks().iter().count(), TASKS);
}

fn polls<'a, F: Future<Output = ()>, Kept>(make: impl Fn() -> (F, Kept) + 'a) -> Alternative<'a> {
    Box::new(move |times| {
        let (future, _kept) = make();
        let mut future = pin!(future);
        let mut cx = Context::from_waker(Waker::noop());
        let start = Stopwatch::start();
        for _ in 0..times {
            assert!(future.as_mut().poll(&mut cx).is_pending());
        }
        start.elapsed()
    })
}
