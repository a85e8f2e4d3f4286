//! Measures the cost of a scan of the watchdog over tasks that are all well.
//!
//! `cargo bench -p tasktrace-tests --bench watchdog`

use std::future::pending;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tasktrace::__private::{FrameMeta, Function, frame, limited, scans, type_name};

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = scan
}
criterion_main!(benches);

const TASKS: u64 = 1_000_000;

#[tasktrace::traced]
async fn waits() {
    inside().await;
}

#[tasktrace::traced]
async fn inside() {
    pending().await
}

/// Waits with a limit that it never reaches.
async fn waits_with_limit() {
    enum Here {}
    fn function() -> &'static Function {
        static META: FrameMeta =
            FrameMeta::new(None, type_name::<Here>, "", 0, 0).wait_limit(1_000_000_000_000);
        static FUNCTION: Function = Function::of(&META);
        limited(&FUNCTION)
    }
    frame(function, pending()).await
}

/// Measures one scan over a million tasks of a runtime, each suspended in a `#[traced]` function, with polls between
/// two scans, and the same with functions that have limits.
fn scan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("look");
    group.throughput(Throughput::Elements(TASKS));
    group.measurement_time(Duration::from_secs(10));
    for limits in [false, true] {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime without drivers needs nothing");
        runtime.block_on(async {
            for _ in 0..TASKS {
                match limits {
                    false => drop(tokio::spawn(waits())),
                    true => drop(tasktrace::spawn(waits_with_limit())),
                }
            }
            // Each of these yields lets some of the other tasks run.
            for _ in 0..TASKS / 10 {
                tokio::task::yield_now().await;
            }
        });
        let name = match limits {
            false => "suspended",
            true => "suspended, with limits",
        };
        group.bench_function(BenchmarkId::new(name, TASKS), |bencher| {
            let mut look = scans();
            bencher.iter_custom(|iterations| {
                runtime.block_on(async {
                    let mut elapsed = Duration::ZERO;
                    for _ in 0..iterations {
                        let start = Instant::now();
                        let reports = black_box(look());
                        elapsed += start.elapsed();
                        assert_eq!(reports, 0, "all is well");
                        // Polls the task that was woken.
                        tokio::task::yield_now().await;
                    }
                    elapsed
                })
            });
        });
    }
}
