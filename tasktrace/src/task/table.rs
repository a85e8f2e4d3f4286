//! Where the slots of a task's frames are.
//!
//! The first are in the record, and the others in chunks, each of twice as many slots as the one before:
//!
//! ```text
//! record: 1 2 3    chunks: 4 … 7    8 … 15    16 … 31    …
//! ```
//!
//! A chunk is made by the poller when it needs a slot in it. The first chunks are kept for the next task in the
//! record and never freed, so their slots may be looked at without a reference to the record. The others are
//! freed when nobody has one.

use std::mem::offset_of;
use std::ptr;

use super::slot::Slot;
use crate::sync::{AtomicPtr, AtomicU32, Ordering};

/// The table of a task's frames: its head, and the first slots.
#[repr(C)]
pub(crate) struct Table {
    /// Odd while the poller changes which frames there are.
    pub(super) sequence: AtomicU32,
    /// How many slots have been in use.
    pub(super) used: AtomicU32,
    /// The poller's: a slot that is not in use any more, and leads to the others.
    pub(super) free: AtomicU32,
    /// How many of the frames have a limit.
    pub(super) limited: AtomicU32,
    pub(super) slots: [Slot; INLINE],
}

/// So many slots are in the record. Models can do with few.
const INLINE: usize = if cfg!(tasktrace_loom) { 1 } else { 3 };
/// How many slots the first chunk has. It begins with the slot of this number, as the next begins with twice it.
const FIRST: u32 = INLINE as u32 + 1;
/// So many chunks are kept.
pub(super) const KEPT: usize = if cfg!(tasktrace_loom) { 1 } else { 3 };
/// The last slot that is never freed.
pub(crate) const LAST_KEPT: u32 = (FIRST << KEPT) - 1;
/// More frames than there are slots in so many chunks stay invisible.
pub(super) const CHUNKS: usize = 21;

impl Table {
    /// Where the slots begin.
    pub(super) const SLOTS: usize = offset_of!(Self, slots);

    pub(super) fn new() -> Self {
        Self {
            sequence: AtomicU32::new(0),
            used: AtomicU32::new(0),
            free: AtomicU32::new(0),
            limited: AtomicU32::new(0),
            slots: std::array::from_fn(|_| Slot::free()),
        }
    }

    /// The slot of this number, if it is in the record.
    #[inline]
    pub(super) fn slot(&self, number: u32) -> Option<&Slot> {
        self.slots.get(number.wrapping_sub(1) as usize)
    }
}

/// The slots of a task that are not in its record. Each chunk is null until there is one.
pub(crate) struct Chunks([AtomicPtr<Slot>; CHUNKS]);

/// Where a slot is that is not in the record: its chunk, and its index there.
fn place(number: u32) -> Option<(usize, usize)> {
    let chunk = number.checked_ilog2()?.checked_sub(FIRST.ilog2())?;
    let index = number - (FIRST << chunk);
    Some((chunk as usize, index as usize))
}

/// How many slots a chunk has.
const fn length(chunk: usize) -> usize {
    (FIRST as usize) << chunk
}

impl Chunks {
    pub(super) fn none() -> Self {
        Self(std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())))
    }

    /// The chunks from the first, as far as there are any.
    fn iter(&self) -> impl Iterator<Item = &[Slot]> {
        (0..CHUNKS).map_while(|chunk| self.get(chunk))
    }

    fn get(&self, chunk: usize) -> Option<&[Slot]> {
        // Acquire: whoever sees the pointer sees the slots.
        let slots = self.0.get(chunk)?.load(Ordering::Acquire);
        // SAFETY: `add` has made a boxed slice of this length for it. Such a slice is freed by `free_from` only, which
        // demands that nobody looks at it.
        (!slots.is_null()).then(|| unsafe { std::slice::from_raw_parts(slots, length(chunk)) })
    }

    /// The slot of this number, if there is one.
    #[inline(never)]
    pub(super) fn slot(&self, number: u32) -> Option<&Slot> {
        let (chunk, index) = place(number)?;
        self.get(chunk)?.get(index)
    }

    /// The slots after those of the record, in the order of their numbers: so many, in as many chunks at most.
    pub(super) fn slots(&self, count: usize, chunks: usize) -> impl Iterator<Item = &Slot> {
        self.iter().take(chunks).flatten().take(count)
    }

    /// Makes sure that there is a slot of this number, if there can be. `None` if there are too many.
    #[cold]
    pub(super) fn make_room(&self, number: u32) -> Option<()> {
        let (chunk, _) = place(number)?;
        let place = self.0.get(chunk)?;
        if self.get(chunk).is_some() {
            return Some(());
        }
        let slots: Box<[Slot]> = (0..length(chunk)).map(|_| Slot::free()).collect();
        let slots = Box::into_raw(slots);
        // Release: whoever sees the pointer sees the slots.
        let inserted = place.compare_exchange(
            ptr::null_mut(),
            slots.cast(),
            Ordering::Release,
            Ordering::Relaxed,
        );
        if inserted.is_err() {
            // SAFETY: it is from the box above, and nobody else has seen it.
            drop(unsafe { Box::from_raw(slots) });
        }
        Some(())
    }

    /// Frees this chunk and those after it.
    ///
    /// # Safety
    ///
    /// Nobody looks at one of them, or uses a slot in it.
    pub(super) unsafe fn free_from(&self, first: usize) {
        for (chunk, place) in self.0.iter().enumerate().skip(first) {
            let slots = place.swap(ptr::null_mut(), Ordering::Relaxed);
            if !slots.is_null() {
                let slots = ptr::slice_from_raw_parts_mut(slots, length(chunk));
                // SAFETY: `make_room` has made it as a boxed slice of this length, and as asserted by the caller.
                drop(unsafe { Box::from_raw(slots) });
            }
        }
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        // SAFETY: `&mut self` says that nobody looks at them.
        unsafe { self.free_from(0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!(place(0), None, "that is the task");
        assert_eq!(place(FIRST - 1), None, "that is in the record");
        assert_eq!(place(FIRST), Some((0, 0)));
        assert_eq!(place(2 * FIRST - 1), Some((0, FIRST as usize - 1)));
        assert_eq!(place(2 * FIRST), Some((1, 0)));
        assert_eq!(place(LAST_KEPT), Some((KEPT - 1, length(KEPT - 1) - 1)));
        assert_eq!(place(LAST_KEPT + 1), Some((KEPT, 0)));
    }

    #[test]
    fn there_is_an_end() {
        let chunks = Chunks::none();
        assert_eq!(chunks.make_room(FIRST << CHUNKS), None);
        assert_eq!(chunks.make_room(u32::MAX), None);
        assert!(chunks.slot(u32::MAX).is_none());
    }
}
