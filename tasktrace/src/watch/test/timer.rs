//! A thread that waits for the first limit that is over.
//!
//! It is a plain thread, so it depends neither on a runtime that may be blocked nor on a clock that
//! may be paused. It is started by the first test that has a limit, and never ends.

use std::mem;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::expired;
use super::running::Test;
use crate::os;
use crate::sync::{StaticCondvar as Condvar, StaticMutex as Mutex, StaticMutexGuard as MutexGuard};

/// The tests that have limits. Nothing is allocated or freed while it is locked.
struct Timer {
    /// Each with when its limit is over. There are as many as run at once: few.
    tests: Vec<(Instant, Arc<Test>)>,
    has_thread: bool,
}

impl Timer {
    /// The position of the one whose limit is over first.
    fn first(&self) -> Option<usize> {
        (0..self.tests.len()).min_by_key(|at| self.tests[*at].0)
    }
}

static TIMER: Mutex<Timer> = Mutex::new(Timer {
    tests: Vec::new(),
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
    let mut spare = Vec::new();
    let mut timer = lock();
    while timer.tests.len() == timer.tests.capacity() {
        let length = timer.tests.len();
        if spare.capacity() > length {
            spare.append(&mut timer.tests);
            mem::swap(&mut timer.tests, &mut spare);
        } else {
            drop(timer);
            spare = Vec::with_capacity(2 * length + 8);
            timer = lock();
        }
    }
    let is_first = timer.first().is_none_or(|at| end < timer.tests[at].0);
    timer.tests.push((end, test));
    let had_thread = mem::replace(&mut timer.has_thread, true);
    drop(timer);
    drop(spare);
    if !had_thread {
        if let Err(error) = os::thread::spawn("tasktrace-tests", run) {
            lock().has_thread = false;
            os::stderr::write(&format!("tasktrace: no timeouts of tests: {error}\n"));
        }
    } else if is_first {
        CHANGED.notify_one();
    }
}

/// A test has ended. Returns `true` if its limit was still to come.
pub(super) fn remove(test: &Test) -> bool {
    // The thread may wake up once for nothing.
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
                let wait = CHANGED.wait_timeout(timer, end - now);
                timer = wait.unwrap_or_else(PoisonError::into_inner).0;
            }
            Some((at, _)) => {
                let (_, test) = timer.tests.swap_remove(at);
                drop(timer);
                // Each on its own thread: several may hang at once.
                let report = move || expired::handle(&test);
                if let Err(error) = os::thread::spawn("tasktrace-hung-test", report) {
                    os::stderr::write(&format!("tasktrace: no report: {error}\n"));
                }
                timer = lock();
            }
        }
    }
}
