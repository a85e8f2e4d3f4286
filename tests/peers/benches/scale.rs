//! Measures the cost of a task from its creation to its end beside many other tasks, and on several threads.
//!
//! Each measurement has a process of its own, because the headers of former tasks are reused.

use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::Barrier;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use tasktrace_benches::cases::{async_backtrace_, plain, registry, tasktrace_};
use tasktrace_benches::goals::{self, Figure};
use tasktrace_benches::stopwatch::Stopwatch;
use tasktrace_benches::{
    Alternative, Case, Measured, OURS, child, compare_in_rounds, header, is_bench,
};

const TIMES: u32 = 300_000;

/// The numbers of existing tasks and of threads, and a name for both.
const SCALES: [(&str, &str, &str); 4] = [
    ("1000", "1", "1,000 tasks, 1 thread"),
    ("1000000", "1", "1,000,000 tasks, 1 thread"),
    ("1000", "2", "1,000 tasks, 2 threads"),
    ("1000000", "2", "1,000,000 tasks, 2 threads"),
];

fn main() {
    if let Some(job) = child::job() {
        let number = |at: usize| -> usize { job[at].parse().expect("a number") };
        println!("{}", measure(&job[0], number(1), number(2)).as_nanos());
        return;
    }
    header("Create, suspend, drop");
    let [ours, async_backtrace, await_tree] =
        [OURS, "async-backtrace", "await-tree"].map(|who| (who, slowest_to_fastest(who)));
    let peers = [async_backtrace, await_tree];
    let best = peers
        .into_iter()
        .min_by(|one, other| one.1.total_cmp(&other.1));
    goals::note(
        "scale",
        &Figure {
            ours: ours.1,
            best_peer: best.map(|(who, times)| (who.to_owned(), times)),
            ratio: best.map(|(_, times)| ours.1 / times),
        },
    );
}

/// Returns the ratio of the slowest to the fastest scale.
fn slowest_to_fastest(who: &str) -> f64 {
    let alternatives = SCALES.map(|(tasks, threads, name)| -> (&str, Alternative<'_>) {
        let tasks = if is_bench() { tasks } else { "1000" };
        let alternative = move |times| {
            let nanos = child::measure(&[who, tasks, threads]);
            Duration::from_nanos(nanos as u64).mul_f64(f64::from(times) / f64::from(TIMES))
        };
        (name, Box::new(alternative))
    });
    let alternatives = Vec::from(alternatives);
    let measured = compare_in_rounds(
        7,
        Case {
            name: who,
            alternatives,
        },
        TIMES,
    );
    largest(&measured, f64::max) / largest(&measured, f64::min)
}

fn largest(measured: &Measured<'_>, of: fn(f64, f64) -> f64) -> f64 {
    let ratios = SCALES.map(|(.., name)| measured.ratio(name, SCALES[0].2));
    ratios.into_iter().reduce(of).expect("there are some")
}

fn measure(who: &str, tasks: usize, threads: usize) -> Duration {
    let registry = registry();
    match who {
        OURS => time(tasks, threads, tasktrace_::waits),
        "async-backtrace" => time(tasks, threads, async_backtrace_::waits),
        _ => time(tasks, threads, || {
            let root = registry.register_anonymous("task");
            root.instrument(plain::waits())
        }),
    }
}

/// Returns the mean time of the threads.
fn time<F: Future>(tasks: usize, threads: usize, make: impl Fn() -> F + Sync) -> Duration {
    let live: Vec<Pin<Box<F>>> = (0..tasks)
        .map(|_| {
            let mut task = Box::pin(make());
            suspend(task.as_mut());
            task
        })
        .collect();
    let at_once = Barrier::new(threads);
    let elapsed = thread::scope(|scope| {
        let thread = |_| {
            scope.spawn(|| {
                at_once.wait();
                let start = Stopwatch::start();
                for _ in 0..TIMES {
                    suspend(pin!(make()));
                }
                start.elapsed()
            })
        };
        let threads: Vec<_> = (0..threads).map(thread).collect();
        let elapsed = threads.into_iter().map(|thread| thread.join());
        elapsed.map(|it| it.expect("no panic")).sum::<Duration>()
    });
    black_box(live);
    elapsed / threads as u32
}

fn suspend(task: Pin<&mut impl Future>) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(task.poll(&mut cx).is_pending());
}
