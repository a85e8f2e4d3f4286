//! The walks that were made last, and what they have depended on.
//!
//! A walk is decided by where it begins, by the tables, and by the words that it reads from the stack:
//! return addresses, and frame pointers where a function is found by its own. If all of those are what
//! they were the last time, it would go the same way again. They are compared in the order in which the
//! walk read them, so that each is where the tables say it is given those before: a comparison reads
//! nothing that a walk would not read.

use super::super::{Known, Mark, PhysicalFrame};
use super::Registers;

/// A word of the stack.
#[derive(Clone, Copy)]
pub(super) struct Word {
    pub(super) address: usize,
    pub(super) value: usize,
}

/// All that a walk has depended on, but for the tables.
pub(super) struct Course {
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
    known: Known,
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
    /// In which set the last was found.
    last: usize,
}

impl Memory {
    /// Looks for a walk from here. If there is one, it is the [`last`](Self::last).
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
    ) -> bool {
        let hash = mark.0 ^ registers.stack_pointer.rotate_left(32) ^ kind.rotate_left(13);
        let hash = (hash as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.last = (hash >> (u64::BITS - SETS_LOG2)) as usize;
        let Some(set) = self.sets.get_mut(self.last) else {
            return false;
        };
        let is_it = |entry: &Option<Box<Entry>>| {
            let entry = entry.as_ref();
            entry.is_some_and(|entry| entry.course.is_same(ip, registers, mark))
        };
        let Some(at) = set.iter().position(is_it) else {
            return false;
        };
        set[..=at].rotate_right(1);
        true
    }

    /// Keeps what was not found. It is the [`last`](Self::last).
    pub(super) fn insert(&mut self, course: Course, frames: &[PhysicalFrame]) {
        if self.sets.is_empty() {
            self.sets.resize_with(1 << SETS_LOG2, Default::default);
        }
        let set = &mut self.sets[self.last];
        // The one that was not found for longest goes.
        set.rotate_right(1);
        set[0] = Some(Box::new(Entry {
            course,
            known: Known::new(frames),
        }));
    }

    /// What was found or inserted last.
    pub(super) fn last(&mut self) -> Option<&mut Known> {
        let entry = self.sets.get_mut(self.last)?[0].as_mut()?;
        Some(&mut entry.known)
    }
}
