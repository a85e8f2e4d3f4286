//! A thread that waits for the first limit that is over.
//!
//! It is a plain thread, so it depends neither on a runtime that may be blocked nor on a clock that
//! may be paused. It is started by the first test that has a limit, and never ends.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::expired;
use super::running::Test;
use crate::os;
use crate::sync::{StaticCondvar as Condvar, StaticMutex as Mutex, StaticMutexGuard as MutexGuard};

/// The tests that have limits, by when those are over.
struct Timer {
    tests: BTreeMap<(Instant, u64), Arc<Test>>,
    has_thread: bool,
}

static TIMER: Mutex<Timer> = Mutex::new(Timer {
    tests: BTreeMap::new(),
    has_thread: false,
});
static CHANGED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, Timer> {
    TIMER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The limit of a test that begins.
pub(super) fn add(test: Arc<Test>, limit: Duration) {
    // A time too far to be told is no limit.
    let Some(end) = test.begun.checked_add(limit) else {
        return;
    };
    let mut timer = lock();
    let is_first = timer
        .tests
        .keys()
        .next()
        .is_none_or(|(first, _)| end < *first);
    timer.tests.insert((end, test.number()), test);
    let had_thread = std::mem::replace(&mut timer.has_thread, true);
    drop(timer);
    if !had_thread {
        if let Err(error) = os::thread::spawn("tasktrace-tests", run) {
            lock().has_thread = false;
            os::stderr::write(&format!("tasktrace: no timeouts of tests: {error}\n"));
        }
    } else if is_first {
        CHANGED.notify_one();
    }
}

/// A test has ended.
pub(super) fn remove(test: &Test) {
    if let Some(end) = test.limit.and_then(|limit| test.begun.checked_add(limit)) {
        // The thread may wake up once for nothing.
        let removed = lock().tests.remove(&(end, test.number()));
        drop(removed);
    }
}

fn run() {
    let mut timer = lock();
    loop {
        let now = Instant::now();
        let first = timer.tests.first_key_value().map(|((end, _), _)| *end);
        match first {
            None => timer = CHANGED.wait(timer).unwrap_or_else(PoisonError::into_inner),
            Some(end) if end > now => {
                let wait = CHANGED.wait_timeout(timer, end - now);
                timer = wait.unwrap_or_else(PoisonError::into_inner).0;
            }
            Some(_) => {
                let over = timer.tests.pop_first();
                drop(timer);
                if let Some((_, test)) = over {
                    // Each on its own thread: several may hang at once.
                    let report = move || expired::handle(&test);
                    if let Err(error) = os::thread::spawn("tasktrace-hung-test", report) {
                        os::stderr::write(&format!("tasktrace: no report: {error}\n"));
                    }
                }
                timer = lock();
            }
        }
    }
}
