//! Measures ten thousand tasks that are spawned, polled and finished on all cores, without captures and while a thread
//! captures all the time.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use await_tree::{Config, InstrumentAwait, Registry};
use tasktrace_benches::{Alternative, Case, compare, header};
use tokio::runtime::Runtime;

const TASKS: usize = 10_000;

/// Yields once through the scheduler.
async fn give_way() {
    let mut first = true;
    poll_fn(|cx| match std::mem::take(&mut first) {
        true => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        false => Poll::Ready(()),
    })
    .await;
}

/// Leaves calls unchanged, for functions with an attribute or without.
trait Unmarked: Future + Sized {
    fn marked(self, _: &'static str) -> Self {
        self
    }
}
impl<F: Future> Unmarked for F {}

/// Marks calls for await-tree, which annotates calls instead of functions.
trait Marked: Future + Sized {
    fn marked(self, name: &'static str) -> await_tree::Instrumented<Self> {
        self.instrument_await(name)
    }
}
impl<F: Future> Marked for F {}

/// Defines the work of one task: two levels of branches, each of which is suspended.
macro_rules! work {
    ($name:ident, $marks:ident $(, #[$attribute:meta])?) => {
        mod $name {
            use super::{$marks as _, give_way};

            $(#[$attribute])?
            pub(super) async fn work() {
                for _ in 0..8 {
                    step().marked("step").await;
                }
            }

            $(#[$attribute])?
            async fn step() {
                futures::join!(left().marked("left"), right().marked("right"));
            }

            $(#[$attribute])?
            async fn left() {
                give_way().await;
            }

            $(#[$attribute])?
            async fn right() {
                give_way().await;
                give_way().await;
            }
        }
    };
}

work!(plain, Unmarked);
work!(tasktrace_, Unmarked, #[tasktrace::traced]);
work!(async_backtrace_, Unmarked, #[async_backtrace::framed]);
work!(await_tree_, Marked);

fn main() {
    let runtime = Runtime::new().expect("a runtime needs threads only");
    let runtime = &runtime;
    let registry = &Registry::new(Config::default());
    let instrumented = move || {
        let root = registry.register_anonymous("work");
        root.instrument(await_tree_::work())
    };

    let bare = || all(runtime, plain::work);
    let annotated = || all(runtime, tasktrace_::work);
    let snapshot = || drop(black_box(tasktrace::snapshot()));
    let dump = || drop(black_box(tasktrace::dump_blocking(Duration::from_secs(2))));
    let second = Duration::from_secs(1);

    header("10,000 tasks, from the first spawn to the last end");
    let alternatives: Vec<(&str, Alternative<'_>)> = vec![
        ("not annotated", bare()),
        (
            "not annotated, in `traced()`",
            all(runtime, || tasktrace::traced(plain::work()).0),
        ),
        ("tasktrace", annotated()),
        ("async-backtrace", all(runtime, async_backtrace_::work)),
        ("await-tree", all(runtime, instrumented)),
    ];
    compare(
        Case {
            name: "nobody asks",
            alternatives,
        },
        1,
    );

    // In the first row, the thread that captures nothing is just as busy, and takes its core from the tasks.
    let spin = || std::hint::spin_loop();
    let taskdump = || drop(black_box(async_backtrace::taskdump_tree(true)));
    let collect = || drop(black_box(registry.collect_all()));
    let framed = all(runtime, async_backtrace_::work);
    let alternatives: Vec<(&str, Alternative<'_>)> = vec![
        while_asked("not annotated", spin, Duration::ZERO, bare()),
        while_asked("tasktrace", snapshot, Duration::ZERO, annotated()),
        while_asked("async-backtrace", taskdump, Duration::ZERO, framed),
        while_asked(
            "await-tree",
            collect,
            Duration::ZERO,
            all(runtime, instrumented),
        ),
    ];
    compare(
        Case {
            name: "snapshots without pause",
            alternatives,
        },
        1,
    );

    let alternatives: Vec<(&str, Alternative<'_>)> = vec![
        ("not annotated", bare()),
        while_asked("tasktrace", dump, second, annotated()),
    ];
    compare(
        Case {
            name: "`dump_blocking` once a second",
            alternatives,
        },
        // These repetitions take most of a second, so that most rounds have a dump.
        20,
    );
}

/// Returns the alternative that spawns all tasks and waits for them.
fn all<'a, F>(runtime: &'a Runtime, make: impl Fn() -> F + Copy + Send + 'a) -> Alternative<'a>
where
    F: Future<Output = ()> + Send + 'static,
{
    Box::new(move |times| {
        let start = Instant::now();
        for _ in 0..times {
            let tasks: Vec<_> = (0..TASKS).map(|_| runtime.spawn(make())).collect();
            runtime.block_on(async {
                for task in tasks {
                    task.await.expect("it does not panic");
                }
            });
        }
        start.elapsed()
    })
}

/// Runs an alternative while a thread calls `ask` again and again, with a pause after each call.
fn while_asked<'a>(
    name: &'static str,
    ask: impl Fn() + Sync + 'a,
    pause: Duration,
    mut alternative: Alternative<'a>,
) -> (&'a str, Alternative<'a>) {
    let mut capture_rate = CaptureRate {
        name,
        answers: 0,
        elapsed: Duration::ZERO,
    };
    let asked = move |times| {
        let (over, answers) = (AtomicBool::new(false), AtomicU64::new(0));
        let elapsed = std::thread::scope(|scope| {
            let requester = scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    ask();
                    answers.fetch_add(1, Ordering::Relaxed);
                    if !pause.is_zero() {
                        std::thread::park_timeout(pause);
                    }
                }
            });
            let elapsed = alternative(times);
            over.store(true, Ordering::Relaxed);
            requester.thread().unpark();
            elapsed
        });
        capture_rate.add(answers.into_inner(), elapsed);
        elapsed
    };
    (name, Box::new(asked))
}

/// Counts the captures, and prints their rate when the measurement is over.
struct CaptureRate {
    name: &'static str,
    answers: u64,
    elapsed: Duration,
}

impl CaptureRate {
    fn add(&mut self, answers: u64, elapsed: Duration) {
        self.answers += answers;
        self.elapsed += elapsed;
    }
}

impl Drop for CaptureRate {
    fn drop(&mut self) {
        let rate = self.answers as f64 / self.elapsed.as_secs_f64();
        println!(
            "| | {}: asked {rate:.1} times a second | | | | |",
            self.name
        );
    }
}
