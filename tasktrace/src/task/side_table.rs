//! Stores the rarely used parts of a task in its side table, which is allocated on first use.
//!
//! One pointer of the task header leads to the side table. It is kept for the next task in the header, and is never
//! freed, because the header is not freed either. So it may be read without a reference to the header.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::ptr;
use std::sync::Arc as StdArc;
use std::task::Waker;

use super::queue::RequestQueue;
use super::slot::{DetachReason, FrameKey};
use super::table::{Chunks, KEPT_CHUNKS};
use crate::capture::RawTrace;
use crate::origin::Dynamic;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Mutex, Ordering, UnsafeCell, lock};

/// The dynamic parts of frames (those beyond a static description), by their keys.
pub(super) type Dynamics = HashMap<FrameKey, StdArc<Dynamic>, BuildHasherDefault<DefaultHasher>>;

/// The rarely used parts of a task. No code allocates or frees memory while it holds one of its locks.
///
/// If there are many tasks, no cache of the processor contains the side table when a capture reads it. So its first two
/// cache lines contain all that the capture of a task with up to [`LAST_KEPT`] frames reads, except for dynamic parts.
///
/// [`LAST_KEPT`]: super::table::LAST_KEPT
#[repr(C, align(64))]
pub(crate) struct SideTable {
    /// The pending requests.
    pub(super) queue: Mutex<RequestQueue<RawTrace>>,
    /// The number of polls that only answered requests. Only the poller writes it.
    pub(super) answering_polls: AtomicU64,
    /// How many times the number of the poll has wrapped around. Only the poller writes it.
    pub(super) poll_wraps: AtomicU32,
    /// The wakers of frames that are polled with wakers other than their parents'. Only the poller accesses them.
    pub(super) wakers: UnsafeCell<BTreeMap<FrameKey, Waker>>,
    /// The slots that do not fit into the header.
    pub(super) chunks: Chunks,
    /// The detached frames whose slots cannot be marked: see [`frames`](super::frames).
    pub(super) detached: Mutex<Vec<(FrameKey, DetachReason)>>,
    /// The dynamic parts of frames: their labels, and the tasks that they await.
    pub(super) dynamic: Mutex<Dynamics>,
}

#[cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    not(tasktrace_loom),
    not(tasktrace_tsan)
))]
const _: () = {
    use std::mem::offset_of;

    use super::slot::Slot;

    const LINE: usize = 64;
    let kept_chunks = KEPT_CHUNKS * size_of::<AtomicPtr<Slot>>();
    assert!(offset_of!(SideTable, chunks) + kept_chunks <= 2 * LINE);
};

// SAFETY: `wakers` is the only field that is not `Sync` itself. Only `Poller::change_wakers` accesses it, and a task
// has one poller at a time, whose accesses happen one after the other.
unsafe impl Sync for SideTable {}

impl SideTable {
    fn new() -> Self {
        Self {
            queue: Mutex::new(RequestQueue::new()),
            answering_polls: AtomicU64::new(0),
            poll_wraps: AtomicU32::new(0),
            wakers: UnsafeCell::new(BTreeMap::new()),
            chunks: Chunks::none(),
            detached: Mutex::new(Vec::new()),
            dynamic: Mutex::new(Dynamics::default()),
        }
    }

    /// Resets the side table for the next task in the header. Keeps the memory that is small.
    ///
    /// # Safety
    ///
    /// The caller must ensure that there is no reference to the header, and that the task has no frames.
    #[cold]
    pub(super) unsafe fn reset(&self) {
        // SAFETY: without a reference, no thread reads slots beyond the kept chunks: `Header::kept_slots`, which needs
        // none, stops before them. The caller asserts that there is no reference, and that no frame uses a slot.
        unsafe { self.chunks.free_from(KEPT_CHUNKS) };
        lock(&self.detached).clear();
        self.poll_wraps.store(0, Ordering::Relaxed);
        self.answering_polls.store(0, Ordering::Relaxed);
    }
}

/// The [`SideTable`] of a task, allocated on first use.
///
/// Invariant: the pointer is null or owns a box. It changes once, from null, and only [`Drop`] frees the box.
pub(crate) struct SideTableCell(AtomicPtr<SideTable>);

// SAFETY: the cell owns its side table, hands out only shared references to it, and a `SideTable` is `Sync`.
unsafe impl Sync for SideTableCell {}
// SAFETY: the cell owns its side table, every field of which is `Send` itself: atomics, wakers, and boxes and locks of
// `Send` values.
unsafe impl Send for SideTableCell {}

impl SideTableCell {
    pub(super) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Returns the side table, if there is one.
    #[inline]
    pub(super) fn get(&self) -> Option<&SideTable> {
        // SAFETY: by the invariant the pointer is null, or leads to a box that is alive for as long as `self` is.
        // Acquire: a thread that sees the pointer also sees the side table initialised.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Returns the side table, and allocates it if there is none.
    pub(super) fn get_or_insert(&self) -> &SideTable {
        loop {
            match self.get() {
                Some(side_table) => return side_table,
                None => self.insert(),
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn insert(&self) {
        let new = Box::into_raw(Box::new(SideTable::new()));
        // Release: a thread that sees the pointer also sees the side table initialised.
        let inserted =
            self.0
                .compare_exchange(ptr::null_mut(), new, Ordering::Release, Ordering::Relaxed);
        if inserted.is_err() {
            // SAFETY: the pointer is that of the box above, and was not stored, so no other thread has it.
            drop(unsafe { Box::from_raw(new) });
        }
    }
}

/// Headers in the pool are never dropped, but those of tests and models are.
impl Drop for SideTableCell {
    fn drop(&mut self) {
        let side_table = self.0.load(Ordering::Relaxed);
        if !side_table.is_null() {
            // SAFETY: by the invariant the pointer owns a box, and `&mut self` proves that no reference to it is left.
            drop(unsafe { Box::from_raw(side_table) });
        }
    }
}

#[cfg(all(test, tasktrace_loom))]
mod model;
