//! The walks that were made last, and what they have depended on.
//!
//! A walk is decided by where it begins, by the tables, and by the words that it reads from the stack:
//! return addresses, and frame pointers where a function is found by its own. If all of those are what
//! they were the last time, it would go the same way again. They are compared in the order in which the
//! walk read them, so that each is where the tables say it is given those before: a comparison reads
//! nothing that a walk would not read.
//!
//! What is kept is the [`Way`] that was made of the walk, which is the same if it passes the same marks.

use std::sync::Arc;

use super::super::{Mark, Way};
use super::Registers;

/// A word of the stack.
#[derive(Clone, Copy)]
pub(super) struct Word {
    pub(super) address: usize,
    pub(super) value: usize,
}

/// All that a walk has depended on, but for the tables.
pub(crate) struct Course {
    pub(super) ip: usize,
    pub(super) mark: Mark,
    pub(super) stack_pointer: usize,
    /// If it was used.
    pub(super) frame_pointer: Option<usize>,
    /// If it was used.
    pub(super) link: Option<usize>,
    /// In the order in which they were read.
    pub(super) words: Box<[Word]>,
}

impl Course {
    fn is_same(&self, ip: usize, registers: &Registers, mark: Mark) -> bool {
        self.ip == ip
            && self.mark == mark
            && self.stack_pointer == registers.stack_pointer
            && self
                .frame_pointer
                .is_none_or(|used| used == registers.frame_pointer)
            && self.link.is_none_or(|used| registers.link == Some(used))
            // One after the other. SAFETY: this walk has begun and will end where the one did that has
            // read these words, and so far it has led the same way.
            && (self.words.iter()).all(|word| unsafe { read(word.address) } == word.value)
    }
}

/// A word of the stack.
///
/// # Safety
///
/// A walk that began and ended where this one does has read it, after words that are now as they were then.
/// So the tables, which are the same, say that a register is saved there.
#[inline(always)]
unsafe fn read(address: usize) -> usize {
    // SAFETY: as asserted by the caller, it is aligned, and on the stack of this thread. It is read as a
    // plain integer, volatile, because it belongs to no object that the compiler knows.
    unsafe { core::ptr::with_exposed_provenance::<usize>(address).read_volatile() }
}

struct Entry {
    course: Course,
    /// On the way, from the outermost on.
    marks: Box<[Mark]>,
    way: Arc<Way>,
}

/// The last few walks that began and ended at the same places, in polls of what is called alike, are in
/// one set.
const WAYS: usize = 8;
const SETS_LOG2: u32 = 5;

/// Longer ones are not kept.
pub(super) const LONGEST: usize = 128;

#[derive(Default)]
pub(super) struct Memory {
    sets: Vec<[Option<Box<Entry>>; WAYS]>,
    /// In which set was looked last.
    last: usize,
}

impl Memory {
    /// Returns the way of a walk from here, past these marks.
    ///
    /// `kind` is any number, which is the same for walks that are likely to be: where they begin and end
    /// does not tell tasks of different types apart.
    #[inline]
    pub(super) fn find(
        &mut self,
        ip: usize,
        registers: &Registers,
        mark: Mark,
        kind: usize,
        marks: impl Iterator<Item = Mark> + Clone,
    ) -> Option<Arc<Way>> {
        let hash = mark.0 ^ registers.stack_pointer.rotate_left(32) ^ kind.rotate_left(13);
        let hash = (hash as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.last = (hash >> (u64::BITS - SETS_LOG2)) as usize;
        let set = self.sets.get_mut(self.last)?;
        let is_it = |entry: &Option<Box<Entry>>| {
            let entry = entry.as_ref();
            entry.is_some_and(|entry| {
                entry.course.is_same(ip, registers, mark)
                    && entry.marks.iter().copied().eq(marks.clone())
            })
        };
        let at = set.iter().position(is_it)?;
        set[..=at].rotate_right(1);
        set[0].as_ref().map(|entry| Arc::clone(&entry.way))
    }

    /// Keeps what was not found.
    pub(super) fn insert(
        &mut self,
        course: Course,
        marks: impl Iterator<Item = Mark>,
        way: &Arc<Way>,
    ) {
        if self.sets.is_empty() {
            self.sets.resize_with(1 << SETS_LOG2, Default::default);
        }
        let set = &mut self.sets[self.last];
        // The one that was not found for longest goes.
        set.rotate_right(1);
        set[0] = Some(Box::new(Entry {
            course,
            marks: marks.collect(),
            way: Arc::clone(way),
        }));
    }
}
