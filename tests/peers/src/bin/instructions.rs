//! Runs one alternative of a case the given number of times: `instructions CASE WHO TIMES`. Without arguments, lists
//! the cases and alternatives: those of [`cases`], and a capture.
//!
//! The script `instructions` of this package runs this program under callgrind, which counts the instructions in
//! [`work`].

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use tasktrace_benches::cases::{cases, registry};
use tasktrace_benches::shapes::annotated;
use tasktrace_benches::stopwatch::Stopwatch;
use tasktrace_benches::{Alternative, Case, OURS};

fn main() {
    let registry = registry();
    let mut cases = cases(&registry);
    cases.push(("capture", capture()));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [case, who, times] = &arguments[..] else {
        for (case, alternatives) in &cases {
            for (who, _) in &alternatives.alternatives {
                println!("{case}\t{who}");
            }
        }
        return;
    };
    let times = times.parse().expect("a number");
    let mut cases = cases.into_iter();
    let (_, found) = cases.find(|(name, _)| name == case).expect("no such case");
    let mut alternatives = found.alternatives.into_iter();
    let (_, mut alternative) = alternatives
        .find(|(name, _)| name == who)
        .expect("nobody of this name");

    // The first task wakes the clock thread, and until that thread runs, each poll tries to wake it. The thread runs as
    // long as a task exists.
    let (_task, _handle) = tasktrace::traced(std::future::pending::<()>());
    alternative(1);
    thread::sleep(Duration::from_millis(200));
    work(&mut alternative, times);
}

/// Returns the case of a capture that is requested and answered on one thread, of a task ten functions deep. The peers
/// capture in other ways, so it has no alternatives.
fn capture() -> Case<'static> {
    let alternative: Alternative<'static> = Box::new(|times| {
        let (task, handle) = tasktrace::traced(annotated::task(0));
        let mut task = pin!(task);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(task.as_mut().poll(&mut cx).is_pending());
        let start = Stopwatch::start();
        for _ in 0..times {
            let mut request = pin!(handle.backtrace());
            assert!(request.as_mut().poll(&mut cx).is_pending());
            assert!(task.as_mut().poll(&mut cx).is_pending());
            assert!(matches!(request.poll(&mut cx), Poll::Ready(Some(_))));
        }
        start.elapsed()
    });
    Case {
        name: "a capture, ten functions deep",
        alternatives: vec![(OURS, alternative)],
    }
}

/// Runs the counted part. The function is not inlined, so that callgrind finds it.
#[inline(never)]
fn work(alternative: &mut Alternative<'_>, times: u32) {
    alternative(times);
}
