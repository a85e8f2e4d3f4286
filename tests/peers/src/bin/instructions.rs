//! Runs one alternative of a case the given number of times: `instructions CASE WHO TIMES`. Without arguments, lists
//! the cases and alternatives.
//!
//! The script `instructions` of this package runs this program under callgrind, which counts the instructions in
//! [`work`].

use std::thread;
use std::time::Duration;

use tasktrace_benches::Alternative;
use tasktrace_benches::cases::{cases, registry};

fn main() {
    let registry = registry();
    let cases = cases(&registry);
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

/// Runs the counted part. The function is not inlined, so that callgrind finds it.
#[inline(never)]
fn work(alternative: &mut Alternative<'_>, times: u32) {
    alternative(times);
}
