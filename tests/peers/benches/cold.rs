//! Measures the first trace that a process prints, when nothing has been read from the binary yet, and the same stack
//! resolved by the `backtrace` crate. Each measurement has a new process.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tasktrace::{Trace, traced};
use tasktrace_benches::stopwatch::Stopwatch;
use tasktrace_benches::{Alternative, Case, OURS, child, compare_in_rounds, header};

fn main() {
    if let Some(job) = child::job() {
        println!("{}", first(&job[0]).as_nanos());
        return;
    }
    header("The first in a process");
    let alternative = |job| -> (&str, Alternative<'_>) {
        let alternative = move |times| Duration::from_nanos(child::measure(&[job]) as u64) * times;
        (job, Box::new(alternative))
    };
    let alternatives = vec![alternative("backtrace"), alternative(OURS)];
    let name = "a stack, resolved and printed";
    compare_in_rounds(15, Case { name, alternatives }, 1).note("cold", &["backtrace"]);
}

/// Measures the stack between the poll of the task and the leaf.
fn first(job: &str) -> Duration {
    match job {
        OURS => {
            let trace = at_the_leaf(|_| Trace::here().expect("in a task"));
            let start = Stopwatch::start();
            black_box(trace.to_string());
            start.elapsed()
        }
        _ => {
            let frames = at_the_leaf(frames_below);
            let start = Stopwatch::start();
            for frame in &frames {
                backtrace::resolve_frame(frame, |symbol| {
                    black_box(symbol.name().map(|name| name.to_string()));
                    black_box((symbol.filename(), symbol.lineno()));
                });
            }
            start.elapsed()
        }
    }
}

fn frames_below(root: usize) -> Vec<backtrace::Frame> {
    let mut frames = Vec::new();
    backtrace::trace(|frame| {
        frames.push(frame.clone());
        frame.sp().addr() < root
    });
    frames
}

/// Calls `run` at the leaf of a task that is ten async functions deep, with the address of a local of the task's
/// poller.
fn at_the_leaf<T>(run: impl FnOnce(usize) -> T) -> T {
    let local = black_box(0_u8);
    let root = (&raw const local).addr();
    let mut run = Some(run);
    let mut result = None;
    let leaf = poll_fn(|_| {
        result = run.take().map(|run| run(root));
        Poll::Ready(())
    });
    let (task, _handle) = traced(call(10, Box::pin(leaf)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(task).poll(&mut cx).is_ready());
    result.expect("it was polled")
}

async fn call(depth: usize, leaf: Pin<Box<dyn Future<Output = ()> + '_>>) {
    match depth {
        1 => leaf.await,
        _ => Box::pin(call(depth - 1, leaf)).await,
    }
}
