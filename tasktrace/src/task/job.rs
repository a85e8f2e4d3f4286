//! In which task of the executor a task is.

use std::cell::UnsafeCell;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::host::Job;

/// Written once: by whoever comes to know it first.
pub(crate) struct JobCell {
    state: AtomicU8,
    job: UnsafeCell<Option<Job>>,
}

const UNKNOWN: u8 = 0;
const BEING_WRITTEN: u8 = 1;
const KNOWN: u8 = 2;

// SAFETY: the job is written by the only one who has brought the state from `UNKNOWN` to
// `BEING_WRITTEN`, and read when it is `KNOWN`, which it is for good.
unsafe impl Sync for JobCell {}

impl JobCell {
    pub(super) const fn new() -> Self {
        Self {
            state: AtomicU8::new(UNKNOWN),
            job: UnsafeCell::new(None),
        }
    }

    /// Notes it, if nobody has. Whether that is so.
    #[inline]
    pub(super) fn set(&self, job: impl FnOnce() -> Option<Job>) -> bool {
        if self.state.load(Ordering::Relaxed) != UNKNOWN {
            return false;
        }
        // Before the cell is claimed, because it may panic.
        let job = job();
        let claimed = self.state.compare_exchange(
            UNKNOWN,
            BEING_WRITTEN,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if claimed.is_err() {
            return false;
        }
        // SAFETY: it has been claimed.
        unsafe { *self.job.get() = job };
        // Release: whoever sees that it is known sees what it is.
        self.state.store(KNOWN, Ordering::Release);
        true
    }

    /// `None` if it is not known yet, and inside if there is none.
    pub(super) fn get(&self) -> Option<Option<Job>> {
        let is_known = self.state.load(Ordering::Acquire) == KNOWN;
        // SAFETY: it is not written any more.
        is_known.then(|| unsafe { *self.job.get() })
    }
}

impl fmt::Debug for JobCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
