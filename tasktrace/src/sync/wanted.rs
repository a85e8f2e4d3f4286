//! Detects work whose requester has stopped waiting.
//!
//! Long work, such as making frames of addresses, is done by the thread that requests it. A thread that
//! does it for others, who may go, says so by [`while_wanted`]; and whatever loops over tasks, stacks
//! or frames asks [`is_unwanted`] at each of them, and makes less of it from then on. So a result that
//! came of work that was unwanted at its end is not whole, and is kept nowhere.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often a thread checks whether a requester waits. In between it returns the last answer.
const EVERY: Duration = Duration::from_millis(10);

/// Work for others.
struct Work {
    is_wanted: Box<dyn Fn() -> bool>,
    looked: Cell<Instant>,
    is_over: Cell<bool>,
}

thread_local! {
    /// The work that this thread does for other threads.
    static WORK: RefCell<Option<Rc<Work>>> = const { RefCell::new(None) };
}

#[cfg_attr(
    not(feature = "http"),
    allow(dead_code, reason = "only clients of servers go")
)]
/// Runs `work` as work that is to stop as soon as `is_wanted` returns `false`.
pub(crate) fn while_wanted<R>(
    is_wanted: impl Fn() -> bool + 'static,
    work: impl FnOnce() -> R,
) -> R {
    let new = Rc::new(Work {
        is_wanted: Box::new(is_wanted),
        looked: Cell::new(Instant::now()),
        is_over: Cell::new(false),
    });
    let _restored = Restored(replace(Some(new)));
    work()
}

/// Returns `true` if no requester waits any more for the work of this thread. It does not become `false`
/// again during the same work.
pub(crate) fn is_unwanted() -> bool {
    let current = WORK.try_with(|work| work.borrow().clone());
    let Some(work) = current.ok().flatten() else {
        return false;
    };
    if !work.is_over.get() && work.looked.get().elapsed() >= EVERY {
        work.is_over.set(!(work.is_wanted)());
        work.looked.set(Instant::now());
    }
    work.is_over.get()
}

fn replace(work: Option<Rc<Work>>) -> Option<Rc<Work>> {
    let before = WORK.try_with(|current| current.replace(work));
    before.ok().flatten()
}

/// Puts back what the thread was doing before.
struct Restored(Option<Rc<Work>>);

impl Drop for Restored {
    fn drop(&mut self) {
        replace(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn work_stays_unwanted_once_no_requester_waits() {
        let is_there = Arc::new(AtomicBool::new(true));
        assert!(!is_unwanted());
        let seen = Arc::clone(&is_there);
        while_wanted(
            move || seen.load(Ordering::Relaxed),
            || {
                assert!(!is_unwanted());
                is_there.store(false, Ordering::Relaxed);
                while !is_unwanted() {
                    std::thread::yield_now();
                }
                is_there.store(true, Ordering::Relaxed);
                std::thread::sleep(2 * EVERY);
                assert!(is_unwanted(), "it has been given up");
                while_wanted(|| true, || assert!(!is_unwanted(), "it is other work"));
                assert!(is_unwanted());
            },
        );
        assert!(!is_unwanted());
    }
}
