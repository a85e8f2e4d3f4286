//! The extras of a task hold what is rarely needed of it. One pointer of its record leads to them, and they are made
//! when they are first needed.
//!
//! They are kept for the next task in the record, and never freed, as the record is not. So they may be looked at
//! without a reference to the record.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::ptr;
use std::sync::Arc as StdArc;
use std::task::Waker;

use super::queue::Queue;
use super::slot::{Gone, Key};
use super::table::{Chunks, KEPT};
use crate::capture::RawTrace;
use crate::origin::Dynamic;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Mutex, Ordering, UnsafeCell, lock};

/// The dynamic parts of frames (those beyond a static description), by their keys.
pub(super) type Dynamics = HashMap<Key, StdArc<Dynamic>, BuildHasherDefault<DefaultHasher>>;

/// The rarely used parts of a task. Nothing is allocated or freed while one of its locks is held.
pub(crate) struct Extras {
    /// The slots for which there is no room in the record.
    pub(super) chunks: Chunks,
    pub(super) queue: Mutex<Queue<RawTrace>>,
    /// Frames that ended elsewhere, or went on there.
    pub(super) gone: Mutex<Vec<(Key, Gone)>>,
    /// What frames have beyond a static description.
    pub(super) dynamic: Mutex<Dynamics>,
    /// The poller's: the wakers of frames that are polled with another than their task's.
    pub(super) wakers: UnsafeCell<BTreeMap<Key, Waker>>,
    /// How often the numbers of polls have begun again.
    pub(super) rounds: AtomicU32,
    /// How many polls only answered requests. Only the poller writes it.
    pub(super) asked_polls: AtomicU64,
}

// SAFETY: `wakers` is accessed by methods of `Poller` only, and there is one poller of a task at a time. Everything else is
// synchronised.
unsafe impl Sync for Extras {}

impl Extras {
    fn new() -> Self {
        Self {
            chunks: Chunks::none(),
            queue: Mutex::new(Queue::new()),
            gone: Mutex::new(Vec::new()),
            dynamic: Mutex::new(Dynamics::default()),
            wakers: UnsafeCell::new(BTreeMap::new()),
            rounds: AtomicU32::new(0),
            asked_polls: AtomicU64::new(0),
        }
    }

    /// Makes them what they are for a new task.
    ///
    /// # Safety
    ///
    /// Nobody has a reference to the record, and the task has no frames.
    #[cold]
    pub(super) unsafe fn reset(&self) {
        // SAFETY: as asserted by the caller, nobody looks at slots that are not kept, or uses one.
        unsafe { self.chunks.free_from(KEPT) };
        lock(&self.gone).clear();
        self.rounds.store(0, Ordering::Relaxed);
        self.asked_polls.store(0, Ordering::Relaxed);
    }
}

/// The place for the [`Extras`] of a task. Null until somebody needs them.
pub(crate) struct ExtrasCell(AtomicPtr<Extras>);

// SAFETY: it owns what it leads to, and hands out shared references to that.
unsafe impl Sync for ExtrasCell {}
// SAFETY: it owns what it leads to, and nothing in an `Extras` belongs to a thread.
unsafe impl Send for ExtrasCell {}

impl ExtrasCell {
    pub(super) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// The extras, if there are any.
    #[inline]
    pub(super) fn get(&self) -> Option<&Extras> {
        // SAFETY: the pointer is null, or came from a box in `insert`, and is freed by nobody but `drop`. Acquire: whoever
        // sees the pointer sees what it leads to.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    pub(super) fn get_or_insert(&self) -> &Extras {
        loop {
            match self.get() {
                Some(extras) => return extras,
                None => self.insert(),
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn insert(&self) {
        let made = Box::into_raw(Box::new(Extras::new()));
        // Release: whoever sees the pointer sees what it leads to.
        let inserted =
            self.0
                .compare_exchange(ptr::null_mut(), made, Ordering::Release, Ordering::Relaxed);
        if inserted.is_err() {
            // SAFETY: it is from the box above, and nobody else has seen it.
            drop(unsafe { Box::from_raw(made) });
        }
    }
}

/// Records are never dropped, but those of tests and models are.
impl Drop for ExtrasCell {
    fn drop(&mut self) {
        let extras = self.0.load(Ordering::Relaxed);
        if !extras.is_null() {
            // SAFETY: it came from a box in `insert`, and `&mut self` says that nobody else has a reference to it.
            drop(unsafe { Box::from_raw(extras) });
        }
    }
}

#[cfg(all(test, tasktrace_loom))]
mod model;
