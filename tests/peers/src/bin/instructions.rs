//! Does one thing, by one of those who can, that often: `instructions CASE WHO TIMES`. Without
//! arguments, lists what there is.
//!
//! The script `instructions` in the folder above runs it under callgrind, which counts what happens
//! in [`work`].

use std::thread;
use std::time::Duration;

use tasktrace_benches::Way;
use tasktrace_benches::cases::{cases, registry};

fn main() {
    let registry = registry();
    let cases = cases(&registry);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [case, who, times] = &arguments[..] else {
        for (case, ways) in &cases {
            for (who, _) in &ways.ways {
                println!("{case}\t{who}");
            }
        }
        return;
    };
    let times = times.parse().expect("a number");
    let mut cases = cases.into_iter();
    let (_, found) = cases.find(|(name, _)| name == case).expect("no such case");
    let mut ways = found.ways.into_iter();
    let (_, mut way) = ways
        .find(|(name, _)| name == who)
        .expect("nobody of this name");

    // The first task wakes the thread that keeps the time, and until that runs, each poll tries. It
    // runs for as long as there is a task.
    let (_task, _handle) = tasktrace::traced(std::future::pending::<()>());
    way(1);
    thread::sleep(Duration::from_millis(200));
    work(&mut way, times);
}

/// What is counted, and nothing else. Not inlined, so that callgrind finds it.
#[inline(never)]
fn work(way: &mut Way<'_>, times: u32) {
    way(times);
}
