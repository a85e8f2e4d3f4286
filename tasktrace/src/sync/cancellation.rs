//! Stops long work whose requester has stopped waiting.
//!
//! Long work, such as resolving addresses to symbols, runs on the thread that requests it. A thread that works for
//! requesters that may go away does so in [`run_cancellable`]. Everything that loops over tasks, stacks or frames calls
//! [`is_cancelled`] for each, and leaves things out once that returns `true`. A result is incomplete if the work was
//! cancelled, and must not be cached.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The interval at which a thread checks whether the requester still waits. In between, [`is_cancelled`] returns the
/// last result.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// Work for a requester that may go away.
struct CancellableWork {
    is_wanted: Box<dyn Fn() -> bool>,
    checked_at: Cell<Instant>,
    is_known_cancelled: Cell<bool>,
}

thread_local! {
    /// The work that this thread does for another.
    static WORK: RefCell<Option<Rc<CancellableWork>>> = const { RefCell::new(None) };
}

/// Calls `work`, in which [`is_cancelled`] returns `true` soon after `is_wanted` returns `false`.
#[cfg_attr(
    not(feature = "http"),
    allow(dead_code, reason = "only HTTP clients disconnect")
)]
pub(crate) fn run_cancellable<R>(
    is_wanted: impl Fn() -> bool + 'static,
    work: impl FnOnce() -> R,
) -> R {
    let new = Rc::new(CancellableWork {
        is_wanted: Box::new(is_wanted),
        checked_at: Cell::new(Instant::now()),
        is_known_cancelled: Cell::new(false),
    });
    let _restored = RestoreWork(replace(Some(new)));
    work()
}

/// Returns `true` if the requester of this thread's work no longer waits. Does not become `false` again during the same
/// work.
pub(crate) fn is_cancelled() -> bool {
    let current = WORK.try_with(|work| work.borrow().clone());
    let Some(work) = current.ok().flatten() else {
        return false;
    };
    if !work.is_known_cancelled.get() && work.checked_at.get().elapsed() >= CHECK_INTERVAL {
        work.is_known_cancelled.set(!(work.is_wanted)());
        work.checked_at.set(Instant::now());
    }
    work.is_known_cancelled.get()
}

/// Makes `work` the work of this thread. Returns the work before it.
fn replace(work: Option<Rc<CancellableWork>>) -> Option<Rc<CancellableWork>> {
    let before = WORK.try_with(|current| current.replace(work));
    before.ok().flatten()
}

/// Restores the work of the thread when it is dropped.
struct RestoreWork(Option<Rc<CancellableWork>>);

impl Drop for RestoreWork {
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
    fn work_stays_cancelled_once_its_requester_has_gone() {
        let is_there = Arc::new(AtomicBool::new(true));
        assert!(!is_cancelled());
        let seen = Arc::clone(&is_there);
        run_cancellable(
            move || seen.load(Ordering::Relaxed),
            || {
                assert!(!is_cancelled());
                is_there.store(false, Ordering::Relaxed);
                while !is_cancelled() {
                    std::thread::yield_now();
                }
                is_there.store(true, Ordering::Relaxed);
                std::thread::sleep(2 * CHECK_INTERVAL);
                assert!(is_cancelled(), "the work was cancelled");
                run_cancellable(|| true, || assert!(!is_cancelled(), "this is other work"));
                assert!(is_cancelled());
            },
        );
        assert!(!is_cancelled());
    }
}
