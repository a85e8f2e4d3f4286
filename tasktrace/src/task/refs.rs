//! Counting the references to a record, which outlives its task: it is used again for another.
//!
//! The count is 0 exactly while nobody may use the record. Whoever brings it to 0 may reset the
//! record; whoever then prepares it for the next task brings it to 1. A reader that comes across a
//! record in the registry retains it first. It succeeds only while there is a task in it, and then
//! sees everything that was written when it was prepared.

use crate::sync::{AtomicU32, Ordering};

pub(crate) struct Refs(AtomicU32);

/// More references than this are not counted: the process ends before the count can wrap, as with
/// an `Arc`.
const MOST: u32 = u32::MAX / 2;

impl Refs {
    /// Of a record without a task.
    pub(crate) fn none() -> Self {
        Self(AtomicU32::new(0))
    }

    /// The record has been prepared by the caller, who now has a reference to it.
    pub(crate) fn publish(&self) {
        self.0.store(1, Ordering::Release);
    }

    /// Takes another reference. The caller has one.
    pub(crate) fn retain(&self) {
        // Relaxed, as in `Arc`: one reference cannot be made of none.
        if self.0.fetch_add(1, Ordering::Relaxed) > MOST {
            std::process::abort();
        }
    }

    /// Takes a reference if there is a task in the record.
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

    /// Gives a reference back. Whether it was the last: then the record is the caller's to reset.
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        if self.0.fetch_sub(1, Ordering::Release) != 1 {
            return false;
        }
        // What others did with the record happened before it is reset. (A load, where `Arc` has a
        // fence, because ThreadSanitizer does not know fences.)
        self.0.load(Ordering::Acquire);
        true
    }

    /// Gives a reference back if it is the last. Whether it was: then the record is the caller's to
    /// reset.
    #[inline]
    #[must_use]
    pub(crate) fn release_last(&self) -> bool {
        // Acquire: what others did with the record happened before it is reset.
        let last = self
            .0
            .compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed);
        last.is_ok()
    }

    /// Whether there is a task in the record, as far as can be said without retaining it.
    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

#[cfg(all(test, tasktrace_loom))]
mod model;
