//! Stores the slots of a task's frames.
//!
//! The first slots are in the task header. The others are in chunks, each of which has twice as many slots as the one
//! before it:
//!
//! ```text
//! header: 1 2 3    chunks: 4 … 7    8 … 15    16 … 31    …
//! ```
//!
//! The poller allocates a chunk when it needs a slot in it. The first chunks are kept for the next task in the header
//! and never freed, so their slots may be read without a reference to the header. The other chunks are freed when the
//! header has no references.

use std::mem::offset_of;
use std::ptr;

use super::slot::Slot;
use crate::sync::{AtomicPtr, AtomicU32, Ordering};

/// The table of a task's frames: its counters, and the first slots. [`frames`](super::frames) explains how it is read
/// and written.
#[repr(C)]
pub(crate) struct FrameTable {
    /// Odd while the poller adds, moves or removes frames. Only the poller writes it.
    pub(super) sequence: AtomicU32,
    /// The number of slots that have been in use, counted from the first. Only the poller writes it.
    pub(super) used: AtomicU32,
    /// The first free slot; each free slot contains the number of the next. Only the poller uses it.
    pub(super) first_free: AtomicU32,
    /// The number of frames that have a wait limit. Only the poller writes it.
    pub(super) limited_frames: AtomicU32,
    pub(super) slots: [Slot; INLINE_SLOTS],
}

/// The number of slots in the header. Models need few.
const INLINE_SLOTS: usize = if cfg!(tasktrace_loom) { 1 } else { 3 };
/// The length of the first chunk, and the number of its first slot. For each next chunk, both are doubled.
const FIRST_LENGTH: u32 = INLINE_SLOTS as u32 + 1;
/// The number of chunks that are kept for the next task.
pub(super) const KEPT_CHUNKS: usize = if cfg!(tasktrace_loom) { 1 } else { 3 };
/// The number of the last slot that is never freed.
pub(crate) const LAST_KEPT: u32 = (FIRST_LENGTH << KEPT_CHUNKS) - 1;
/// The most chunks. Frames for which these have no slot stay invisible.
pub(super) const MAX_CHUNKS: usize = 21;

impl FrameTable {
    /// The offset of the slots.
    #[allow(
        dead_code,
        reason = "only the check of the layout uses it: 32-bit systems have none, and rustc 1.88 does not see it"
    )]
    pub(super) const SLOTS_OFFSET: usize = offset_of!(Self, slots);

    pub(super) fn new() -> Self {
        Self {
            sequence: AtomicU32::new(0),
            used: AtomicU32::new(0),
            first_free: AtomicU32::new(0),
            limited_frames: AtomicU32::new(0),
            slots: std::array::from_fn(|_| Slot::empty()),
        }
    }

    /// Returns the slot of this number, if it is in the header.
    #[inline]
    pub(super) fn slot(&self, number: u32) -> Option<&Slot> {
        self.slots.get(number.wrapping_sub(1) as usize)
    }
}

/// The slots of a task that are not in its header.
///
/// Invariant: the pointer at index `chunk` is null, or owns a boxed slice of `chunk_length(chunk)` slots. `make_room`
/// makes the slices, and only `free_from` frees them.
pub(crate) struct Chunks([AtomicPtr<Slot>; MAX_CHUNKS]);

/// Returns the chunk of a slot and the index of the slot in it, unless the slot is in the header.
fn locate(number: u32) -> Option<(usize, usize)> {
    let chunk = number.checked_ilog2()?.checked_sub(FIRST_LENGTH.ilog2())?;
    let index = number - (FIRST_LENGTH << chunk);
    Some((chunk as usize, index as usize))
}

/// Returns the number of slots in a chunk.
const fn chunk_length(chunk: usize) -> usize {
    (FIRST_LENGTH as usize) << chunk
}

impl Chunks {
    pub(super) fn none() -> Self {
        Self(std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())))
    }

    /// Returns the chunks from the first on, up to the first that is missing.
    fn iter(&self) -> impl Iterator<Item = &[Slot]> {
        (0..MAX_CHUNKS).map_while(|chunk| self.get(chunk))
    }

    fn get(&self, chunk: usize) -> Option<&[Slot]> {
        // Acquire: a thread that sees the pointer also sees the slots initialised.
        let slots = self.0.get(chunk)?.load(Ordering::Acquire);
        // SAFETY: by the invariant, a pointer that is not null leads to this many slots. Only `free_from` frees them,
        // and its caller asserts that no reference to a slot is in use.
        (!slots.is_null())
            .then(|| unsafe { std::slice::from_raw_parts(slots, chunk_length(chunk)) })
    }

    /// Returns the slot of this number, if its chunk exists.
    #[inline(never)]
    pub(super) fn slot(&self, number: u32) -> Option<&Slot> {
        let (chunk, index) = locate(number)?;
        self.get(chunk)?.get(index)
    }

    /// Returns the first `count` slots after those of the header, in the order of their numbers, from at most `chunks`
    /// chunks.
    pub(super) fn slots(&self, count: usize, chunks: usize) -> impl Iterator<Item = &Slot> {
        let mut left = count;
        self.iter().take(chunks).flat_map(move |slots| {
            let slots = &slots[..left.min(slots.len())];
            left -= slots.len();
            slots
        })
    }

    /// Allocates the chunk of the slot of this number, unless it exists. Returns `None` if there can be no such slot.
    #[cold]
    pub(super) fn make_room(&self, number: u32) -> Option<()> {
        let (chunk, _) = locate(number)?;
        let pointer = self.0.get(chunk)?;
        if self.get(chunk).is_some() {
            return Some(());
        }
        let slots: Box<[Slot]> = (0..chunk_length(chunk)).map(|_| Slot::empty()).collect();
        let slots = Box::into_raw(slots);
        // Release: a thread that sees the pointer also sees the slots initialised.
        let inserted = pointer.compare_exchange(
            ptr::null_mut(),
            slots.cast(),
            Ordering::Release,
            Ordering::Relaxed,
        );
        if inserted.is_err() {
            // SAFETY: the pointer is that of the box above, and was not stored, so no other thread has it.
            drop(unsafe { Box::from_raw(slots) });
        }
        Some(())
    }

    /// Frees the chunks from this index on.
    ///
    /// # Safety
    ///
    /// The caller must ensure that no reference to a slot in these chunks is in use, and that no other thread reads one
    /// during this call.
    pub(super) unsafe fn free_from(&self, first: usize) {
        for (chunk, pointer) in self.0.iter().enumerate().skip(first) {
            let slots = pointer.swap(ptr::null_mut(), Ordering::Relaxed);
            if !slots.is_null() {
                let slots = ptr::slice_from_raw_parts_mut(slots, chunk_length(chunk));
                // SAFETY: by the invariant the pointer owned a boxed slice of this length. It is freed once, because it
                // was replaced by null. The caller asserts that its slots are not in use.
                drop(unsafe { Box::from_raw(slots) });
            }
        }
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        // SAFETY: `&mut self` proves that no reference to a slot is left.
        unsafe { self.free_from(0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_located_by_their_numbers() {
        assert_eq!(locate(0), None, "the task itself has no slot");
        assert_eq!(locate(FIRST_LENGTH - 1), None, "this slot is in the header");
        assert_eq!(locate(FIRST_LENGTH), Some((0, 0)));
        assert_eq!(
            locate(2 * FIRST_LENGTH - 1),
            Some((0, FIRST_LENGTH as usize - 1))
        );
        assert_eq!(locate(2 * FIRST_LENGTH), Some((1, 0)));
        assert_eq!(
            locate(LAST_KEPT),
            Some((KEPT_CHUNKS - 1, chunk_length(KEPT_CHUNKS - 1) - 1))
        );
        assert_eq!(locate(LAST_KEPT + 1), Some((KEPT_CHUNKS, 0)));
    }

    #[test]
    fn slots_beyond_the_last_chunk_cannot_be_made() {
        let chunks = Chunks::none();
        assert_eq!(chunks.make_room(FIRST_LENGTH << MAX_CHUNKS), None);
        assert_eq!(chunks.make_room(u32::MAX), None);
        assert!(chunks.slot(u32::MAX).is_none());
    }
}
