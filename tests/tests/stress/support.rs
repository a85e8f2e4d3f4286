//! Runs scenarios, and generates random numbers.

use std::panic::resume_unwind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tasktrace::__private::live;

/// The time after which a scenario counts as deadlocked.
const LIMIT: Duration = Duration::from_secs(300);

/// The payload of the panics that are part of a scenario.
pub(crate) const INTENDED_PANIC: &str = "an intended panic";

/// Runs a scenario, and asserts that it ends and leaves no task header and no frame.
pub(crate) fn scenario(run: impl FnOnce() + Send + 'static) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    std::panic::set_hook(Box::new(|info| {
        // These are too many to be printed.
        if info.payload().downcast_ref::<&str>() != Some(&INTENDED_PANIC) {
            eprintln!("{info}");
        }
    }));
    let (end, ended) = mpsc::channel::<()>();
    let scenario = thread::spawn(move || {
        run();
        drop(end);
    });
    if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
        eprintln!("a deadlock?\n{}", tasktrace::snapshot());
        std::process::abort();
    }
    if let Err(panic) = scenario.join() {
        resume_unwind(panic);
    }
    assert_eq!(live(), (0, 0), "left behind:\n{}", tasktrace::snapshot());
}

/// A Xorshift generator: the same seed gives the same numbers.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // The product is not 0, and differs in all bits for seeds that are close to each other.
        Self((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// Returns a number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }

    /// Removes a random element, if there is one.
    pub(crate) fn take<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        match from.len() {
            0 => None,
            length => Some(from.swap_remove(self.below(length))),
        }
    }
}
