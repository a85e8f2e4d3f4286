//! Waits for the next time limit of a test, on a thread.
//!
//! The thread is a plain thread, so it depends neither on a runtime, which may be blocked, nor on a runtime's clock,
//! which may be paused. The first test with a limit starts it, and it never ends.

use std::mem;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::expired;
use super::running::Test;
use crate::os;
use crate::os::time::Instant;
use crate::sync::{
    StaticCondvar as Condvar, StaticMutex as Mutex, StaticMutexGuard as MutexGuard, with_reserved,
};

/// The tests that have limits. Nothing is allocated or freed while it is locked.
struct TestTimer {
    /// The running tests with the ends of their limits. Only the tests that run at the same time are in it, so there
    /// are few.
    tests: Vec<(Instant, Arc<Test>)>,
    has_thread: bool,
}

impl TestTimer {
    /// Returns the position of the test whose limit ends first.
    fn first(&self) -> Option<usize> {
        (0..self.tests.len()).min_by_key(|at| self.tests[*at].0)
    }
}

static TIMER: Mutex<TestTimer> = Mutex::new(TestTimer {
    tests: Vec::new(),
    has_thread: false,
});
static CHANGED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, TestTimer> {
    TIMER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Registers the limit of a test that begins.
pub(super) fn add(test: Arc<Test>, limit: Duration) {
    // If the end is beyond the range of `Instant`, there is no limit.
    let Some(end) = test.begun.checked_add(limit) else {
        return;
    };
    let (is_first, had_thread) = with_reserved(
        lock,
        |timer| &mut timer.tests,
        |timer| {
            let is_first = timer.first().is_none_or(|at| end < timer.tests[at].0);
            timer.tests.push((end, test));
            (is_first, mem::replace(&mut timer.has_thread, true))
        },
    );
    if !had_thread {
        if let Err(error) = os::thread::spawn("tasktrace-tests", run) {
            lock().has_thread = false;
            os::stderr::write(&format!(
                "tasktrace: hung tests cannot be detected: {error}\n"
            ));
        }
    } else if is_first {
        CHANGED.notify_one();
    }
}

/// Removes a test that has ended. Returns `true` if its limit was not over.
pub(super) fn remove(test: &Test) -> bool {
    // The thread is not notified, so it may wake up once without an expired limit.
    let removed = {
        let mut timer = lock();
        let mut tests = timer.tests.iter();
        let at = tests.position(|(_, known)| known.number() == test.number());
        at.map(|at| timer.tests.swap_remove(at))
    };
    removed.is_some()
}

fn run() {
    let mut timer = lock();
    loop {
        let now = Instant::now();
        let first = timer.first();
        match first.map(|at| (at, timer.tests[at].0)) {
            None => timer = CHANGED.wait(timer).unwrap_or_else(PoisonError::into_inner),
            Some((_, end)) if end > now => {
                let wait = CHANGED.wait_timeout(timer, end.saturating_duration_since(now));
                timer = wait.unwrap_or_else(PoisonError::into_inner).0;
            }
            Some((at, _)) => {
                let (_, test) = timer.tests.swap_remove(at);
                drop(timer);
                // Each expired test gets a thread, because several tests may hang at the same time.
                let report = move || expired::handle(&test);
                if let Err(error) = os::thread::spawn("tasktrace-hung-test", report) {
                    os::stderr::write(&format!("tasktrace: no report: {error}\n"));
                }
                timer = lock();
            }
        }
    }
}
