//! Threads that read all tasks, and check the trees.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tasktrace::{Frame, Trace, TraceHandle};

use crate::support::Random;

/// Reader threads, which run until [`Readers::finish`].
pub(crate) struct Readers {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(crate) fn start(number: u64) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let threads = (0..number).map(|seed| {
            let over = over.clone();
            thread::spawn(move || read(&over, Random::new(1000 + seed)))
        });
        let threads = threads.collect();
        Self { over, threads }
    }

    pub(crate) fn finish(self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

fn read(over: &AtomicBool, mut random: Random) {
    let mut kept: Vec<TraceHandle> = Vec::new();
    while !over.load(Ordering::Relaxed) {
        match random.below(8) {
            0 => {
                for task in tasktrace::snapshot().tasks() {
                    check(task.trace());
                    check_once(task.trace());
                }
            }
            1 => tasktrace::dump_blocking(Duration::from_millis(random.below(20) as u64))
                .tasks()
                .for_each(|task| check(task.trace())),
            2 => {
                for task in tasktrace::tasks().take(8) {
                    let timeout = Duration::from_millis(random.below(5) as u64);
                    if let Ok(trace) = task.backtrace_timeout(timeout) {
                        check(&trace);
                    }
                }
            }
            3 => kept.extend(tasktrace::tasks().take(random.below(16))),
            4 => drop(random.take(&mut kept)),
            5 => kept.extend(kept.first().cloned()),
            6 => kept.truncate(random.below(64)),
            _ => {
                for task in tasktrace::tasks() {
                    check_once(&task.snapshot());
                }
                for task in &kept {
                    check(&task.snapshot());
                    let _ = (task.state(), task.age(), task.last_polled(), task.name());
                }
            }
        }
    }
}

/// Asserts that a frame labelled with a letter and a number is inside of the frame with the same number and the letter
/// before. `a` may be anywhere. `beside`, without a label, is in a frame with a label.
fn check(trace: &Trace) {
    let mut pending: Vec<(Option<&str>, &Frame)> =
        trace.frames().iter().map(|frame| (None, frame)).collect();
    while let Some((parent_label, frame)) = pending.pop() {
        let label = frame.label();
        if let Some((letter, number)) = label.and_then(|label| label.split_once(' ')) {
            let expected = match letter {
                "b" => Some(format!("a {number}")),
                "c" => Some(format!("b {number}")),
                _ => None,
            };
            if let Some(expected) = expected {
                assert_eq!(
                    parent_label,
                    Some(&*expected),
                    "parent_label {letter} {number}:\n{trace}"
                );
            }
        }
        if frame.name().ends_with("::beside") {
            assert!(
                parent_label.is_some_and(|parent_label| parent_label.starts_with(['a', 'b'])),
                "{trace}"
            );
        }
        let parent_label = label.or(parent_label);
        pending.extend(frame.children().iter().map(|child| (parent_label, child)));
    }
}

/// Asserts that no label occurs twice. A capture may have a label twice, if the frame was polled twice in that poll.
fn check_once(trace: &Trace) {
    let mut seen = BTreeSet::new();
    let mut pending: Vec<&Frame> = trace.frames().iter().collect();
    while let Some(frame) = pending.pop() {
        if let Some(label) = frame.label() {
            assert!(
                seen.insert(label) && frame.count() <= 1,
                "a label occurs twice:\n{trace}"
            );
        }
        pending.extend(frame.children());
    }
}
