//! Measures a dump of ten thousand tasks in twenty shapes, from the request to the text: tasktrace, and tokio's task
//! dump. Each text has been printed before, so nothing is read from the binary for the first time.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use tasktrace_benches::executor::Executor;
use tasktrace_benches::shapes::{Task, annotated, plain};
use tasktrace_benches::stopwatch::Stopwatch;
use tasktrace_benches::{Alternative, Case, OURS, compare_in_rounds, header, is_bench};
use tokio::runtime::Handle;

fn main() {
    // tokio's dump takes seconds.
    let tasks = if is_bench() { 10_000 } else { 100 };
    let executor = Executor::start();
    header("A dump, printed");
    let alternatives: Vec<(&str, Alternative<'_>)> = vec![
        (
            "tokio",
            in_tasks(&executor, tasks, plain::task, print_with_tokio),
        ),
        (OURS, in_tasks(&executor, tasks, annotated::task, print)),
    ];
    let case = Case {
        name: "10,000 tasks in 20 shapes",
        alternatives,
    };
    compare_in_rounds(5, case, 1).note("dump", &["tokio"]);
}

fn in_tasks<'a>(
    executor: &'a Executor,
    tasks: usize,
    make: fn(usize) -> Task,
    print: fn(&Executor) -> String,
) -> Alternative<'a> {
    Box::new(move |times| {
        let _tasks = executor.fill((0..tasks).map(make));
        let start = Stopwatch::start();
        for _ in 0..times {
            black_box(print(executor));
        }
        start.elapsed()
    })
}

fn print(_: &Executor) -> String {
    tasktrace::dump_blocking(Duration::from_secs(10)).to_string()
}

fn print_with_tokio(executor: &Executor) -> String {
    let dump = executor.run(async { Handle::current().dump().await });
    let mut text = String::new();
    for task in dump.tasks().iter() {
        let result = writeln!(text, "task {}\n{}", task.id(), task.trace());
        result.expect("strings take any text");
    }
    text
}
