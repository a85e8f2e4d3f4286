//! Counts references to a task header. The header outlives its task, and is reused for another one.
//!
//! The count is 0 exactly while the header contains no task. The thread whose release makes it 0 may reset the header.
//! The thread that prepares the header for the next task makes the count 1. A reader that finds a header in the pool
//! retains it first. That succeeds only while the header contains a task, and then the reader sees everything that was
//! written when the header was prepared.

use crate::sync::{AtomicU32, Ordering};

/// The number of references to a task header.
pub(crate) struct RefCount(AtomicU32);

/// The most references. The process aborts before the count can overflow, as with `Arc`.
const MOST: u32 = u32::MAX / 2;

impl RefCount {
    /// Returns the count of a header that contains no task.
    pub(crate) fn none() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Makes the count 1. The caller has prepared the header, and now has a reference to it.
    pub(crate) fn publish(&self) {
        self.0.store(1, Ordering::Release);
    }

    /// Takes another reference. The caller already has one.
    pub(crate) fn retain(&self) {
        // Relaxed, as in `Arc`: the caller's own reference keeps the header alive and its contents visible.
        if self.0.fetch_add(1, Ordering::Relaxed) > MOST {
            std::process::abort();
        }
    }

    /// Takes a reference if the header contains a task. Returns `true` if it did.
    #[must_use]
    pub(crate) fn try_retain(&self) -> bool {
        let mut count = self.0.load(Ordering::Relaxed);
        while count != 0 {
            if count > MOST {
                std::process::abort();
            }
            let next = count + 1;
            let exchanged =
                self.0
                    .compare_exchange_weak(count, next, Ordering::Acquire, Ordering::Relaxed);
            match exchanged {
                Ok(_) => return true,
                Err(now) => count = now,
            }
        }
        false
    }

    /// Releases a reference. Returns `true` if it was the last one: then the caller must reset the header.
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        if self.0.fetch_sub(1, Ordering::Release) != 1 {
            return false;
        }
        // Acquire: all uses of the header by other threads happen before the reset. (`Arc` has a fence here. This is a
        // load, because ThreadSanitizer does not support fences.)
        self.0.load(Ordering::Acquire);
        true
    }

    /// Releases a reference if it is the last one. Returns `true` if it was: then the caller must reset the header.
    #[inline]
    #[must_use]
    pub(crate) fn release_if_last(&self) -> bool {
        // Acquire: all uses of the header by other threads happen before the reset.
        let last = self
            .0
            .compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed);
        last.is_ok()
    }

    /// Returns `true` if the header contains a task. Without a reference, this may change at any time.
    pub(crate) fn is_referenced(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

#[cfg(all(test, tasktrace_loom))]
mod model;
