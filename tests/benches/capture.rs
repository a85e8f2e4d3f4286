//! Measures the cost of a trace, and of polls without one.
//!
//! `cargo bench -p tasktrace-tests --bench capture`

use std::fmt::Write as _;
use std::future::{Future, pending, poll_fn};
use std::hint::black_box;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tasktrace::{Trace, traced};
use tasktrace_tests::by_hand;

criterion_group!(benches, walk, print, poll, round_trip);
criterion_main!(benches);

/// Compares our walker with the platform's unwinder on the same frames.
///
/// Ours is the whole of [`Trace::here`], which looks for the unwind tables, first walks a few functions of its own, and
/// allocates its result. The other pushes addresses to an existing buffer.
fn walk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("walk");
    for frames in [33, 200] {
        group.throughput(Throughput::Elements(frames as u64));
        group.bench_function(BenchmarkId::new("tasktrace", frames), |bencher| {
            bencher.iter_custom(|iterations| {
                at_depth(frames, || {
                    repeat(iterations, || Trace::here().expect("in a task"))
                })
            });
        });
        group.bench_function(BenchmarkId::new("backtrace", frames), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut addresses = Vec::with_capacity(frames);
                at_depth(frames, || {
                    repeat(iterations, || walk_with_backtrace(frames, &mut addresses))
                })
            });
        });
    }
}

fn walk_with_backtrace(frames: usize, addresses: &mut Vec<usize>) {
    addresses.clear();
    // SAFETY: `trace_unsynchronized` requires that no other thread uses `backtrace`, and only this thread does.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            addresses.push(frame.ip().addr());
            addresses.len() < frames
        });
    }
    assert_eq!(addresses.len(), frames);
}

/// Measures the first print of a trace whose addresses have been resolved before.
fn print(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("print");
    for traces in [1, 1000] {
        group.throughput(Throughput::Elements(traces as u64));
        group.bench_function(BenchmarkId::from_parameter(traces), |bencher| {
            let mut text = String::new();
            bencher.iter_batched(
                || at_depth(33, || Vec::from_iter((0..traces).map(|_| Trace::here()))),
                |traces| {
                    text.clear();
                    for trace in traces.iter().flatten() {
                        writeln!(text, "{trace}").expect("strings take any text");
                    }
                    // The traces are dropped when the clock has stopped.
                    traces
                },
                BatchSize::LargeInput,
            );
        });
    }
}

/// Measures a poll of a waiting future that nothing captures: bare, as a task, and as a task in which functions have
/// the attribute.
fn poll(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("poll");
    group.bench_function("bare", |bencher| {
        let mut future = pin!(wait());
        bencher.iter(|| by_hand::poll(future.as_mut()));
    });
    group.bench_function("traced()", |bencher| {
        let (future, _handle) = traced(wait());
        let mut future = pin!(future);
        bencher.iter(|| by_hand::poll(future.as_mut()));
    });
    group.bench_function("bare, 3 deep", |bencher| {
        let mut future = pin!(bare::outer());
        bencher.iter(|| by_hand::poll(future.as_mut()));
    });
    group.bench_function("#[traced], 3 deep", |bencher| {
        let mut future = pin!(attributed::outer());
        bencher.iter(|| by_hand::poll(future.as_mut()));
    });
    group.bench_function("#[traced], 3 deep, in traced()", |bencher| {
        let (future, _handle) = traced(attributed::outer());
        let mut future = pin!(future);
        bencher.iter(|| by_hand::poll(future.as_mut()));
    });
}

mod bare {
    pub(super) async fn outer() {
        middle().await;
    }

    async fn middle() {
        inner().await;
    }

    async fn inner() {
        super::wait().await;
    }
}

mod attributed {
    #[tasktrace::traced]
    pub(super) async fn outer() {
        middle().await;
    }

    #[tasktrace::traced]
    async fn middle() {
        inner().await;
    }

    #[tasktrace::traced]
    async fn inner() {
        super::wait().await;
    }
}

/// Waits for ever, and cannot be optimised away.
fn wait() -> impl Future<Output = ()> {
    poll_fn(|cx| {
        black_box(cx.waker());
        black_box(Poll::Pending)
    })
}

/// Measures a capture from the request to the answer, on the thread that also polls the captured task.
fn round_trip(criterion: &mut Criterion) {
    criterion.bench_function("round trip", |bencher| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime without drivers needs nothing");
        bencher.iter_custom(|iterations| {
            runtime.block_on(async {
                let (future, handle) = traced(pending::<()>());
                let task = tokio::spawn(future);
                let start = Instant::now();
                for _ in 0..iterations {
                    black_box(handle.backtrace().await.expect("it is pending"));
                }
                let elapsed = start.elapsed();
                task.abort();
                elapsed
            })
        });
    });
}

fn repeat<R>(iterations: u64, mut work: impl FnMut() -> R) -> Duration {
    let start = Instant::now();
    for _ in 0..iterations {
        black_box(work());
    }
    start.elapsed()
}

/// Calls `work` in a task with `frames` functions on the stack of the task.
fn at_depth<R>(frames: usize, work: impl FnOnce() -> R) -> R {
    // These frames are the poll of the task and the functions around `work`.
    let least = descend_in_task(0, frames_below);
    descend_in_task(frames - least, |_| work())
}

/// Passes an address on the stack above all functions that the task calls to `work`.
fn descend_in_task<R>(depth: usize, work: impl FnOnce(usize) -> R) -> R {
    let mut work = Some(work);
    let mut result = None;
    let (future, _handle) = traced(poll_fn(|_| {
        let root = black_box(0_u8);
        let root = (&raw const root).addr();
        descend(depth, &mut || result = work.take().map(|work| work(root)));
        Poll::Ready(())
    }));
    assert!(by_hand::poll(pin!(future)).is_ready());
    result.expect("polled once")
}

/// Calls `work` below `depth` functions. The stack has as many different functions as that of a program, because a
/// walker's cache helps only with functions that recur.
fn descend(depth: usize, work: &mut dyn FnMut()) {
    match depth {
        0 => work(),
        _ => FUNCTIONS[depth % FUNCTIONS.len()](depth, work),
    }
}

type Function = fn(usize, &mut dyn FnMut());

/// Differs from each other instance for the compiler, with frames of several sizes.
#[inline(never)]
fn function<const N: usize, const LOCALS: usize>(depth: usize, work: &mut dyn FnMut()) {
    let locals = black_box([N; LOCALS]);
    descend(depth - 1, work);
    // Work after the call prevents a tail call.
    black_box(locals);
}

const FUNCTIONS: &[Function] = {
    macro_rules! functions {
        ($($tens:literal)*) => {
            &[$(
                function::<{ 10 * $tens }, 1>,
                function::<{ 10 * $tens + 1 }, 8>,
                function::<{ 10 * $tens + 2 }, 3>,
                function::<{ 10 * $tens + 3 }, 5>,
                function::<{ 10 * $tens + 4 }, 2>,
                function::<{ 10 * $tens + 5 }, 17>,
                function::<{ 10 * $tens + 6 }, 4>,
                function::<{ 10 * $tens + 7 }, 9>,
                function::<{ 10 * $tens + 8 }, 6>,
                function::<{ 10 * $tens + 9 }, 33>,
            )*]
        };
    }
    functions!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19)
};

/// Returns the number of functions on the stack from the caller to `root`.
fn frames_below(root: usize) -> usize {
    let mut frames = 0;
    backtrace::trace(|frame| {
        frames += 1;
        frame.sp().addr() < root
    });
    frames
}
