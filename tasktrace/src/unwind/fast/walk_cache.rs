//! Caches the call paths of recent walks.
//!
//! The start of a walk, the unwind tables, and the words that the walk reads from the stack determine its result. The
//! words are return addresses, and frame pointers where a caller is found by the frame pointer. If all of these inputs
//! are equal, a new walk has the same result. The words are compared in the order in which the walk has read them. So,
//! by the words before it, each word is at an address at which the unwind tables say that a register is saved: a
//! comparison reads only addresses that a walk would read.
//!
//! The cached value is the [`CallPath`] of the walk, which is the same if the walk passes the same marks.

use std::sync::Arc;

use super::super::{CallPath, Mark, fibonacci_hash};
use super::Registers;

/// The number of walks in a set. A set has the last walks of a group with the same start and end.
const SET_SIZE: usize = 8;
const SETS_LOG2: u32 = 5;

/// The largest number of frames in a walk that is cached.
pub(super) const MAX_FRAMES: usize = 128;

/// A set-associative cache of walks. In each set the walk that was used last comes first.
#[derive(Default)]
pub(super) struct WalkCache {
    sets: Vec<[Option<Box<CachedWalk>>; SET_SIZE]>,
    /// The set that the last [`find`](Self::find) searched.
    last: usize,
}

impl WalkCache {
    /// Returns the call path of a walk with these inputs, past these marks.
    ///
    /// `group` selects the set, together with the start and the end of the walk. It should be equal for walks that are
    /// likely to be equal, because tasks of different types may be walked from the same start to the same end.
    #[inline]
    pub(super) fn find(
        &mut self,
        ip: usize,
        registers: &Registers,
        mark: Mark,
        group: usize,
        marks: impl Iterator<Item = Mark> + Clone,
    ) -> Option<Arc<CallPath>> {
        let hash = mark.0 ^ registers.stack_pointer.rotate_left(32) ^ group.rotate_left(13);
        let hash = fibonacci_hash(hash as u64);
        self.last = (hash >> (u64::BITS - SETS_LOG2)) as usize;
        let set = self.sets.get_mut(self.last)?;
        let matches = |entry: &Option<Box<CachedWalk>>| {
            let entry = entry.as_ref();
            entry.is_some_and(|entry| {
                entry.inputs.is_same(ip, registers, mark)
                    && entry.marks.iter().copied().eq(marks.clone())
            })
        };
        let at = set.iter().position(matches)?;
        set[..=at].rotate_right(1);
        set[0].as_ref().map(|entry| Arc::clone(&entry.path))
    }

    /// Adds the walk that the last [`find`](Self::find) did not find.
    pub(super) fn insert(
        &mut self,
        inputs: WalkInputs,
        marks: impl Iterator<Item = Mark>,
        path: &Arc<CallPath>,
    ) {
        if self.sets.is_empty() {
            self.sets.resize_with(1 << SETS_LOG2, Default::default);
        }
        let set = &mut self.sets[self.last];
        // The walk that was not used for the longest time is evicted.
        set.rotate_right(1);
        set[0] = Some(Box::new(CachedWalk {
            inputs,
            marks: marks.collect(),
            path: Arc::clone(path),
        }));
    }
}

/// A word of the stack.
#[derive(Clone, Copy)]
pub(super) struct StackWord {
    pub(super) address: usize,
    pub(super) value: usize,
}

/// The inputs of a walk, apart from the unwind tables.
pub(crate) struct WalkInputs {
    pub(super) ip: usize,
    pub(super) mark: Mark,
    pub(super) stack_pointer: usize,
    /// The frame pointer, if the walk has used it.
    pub(super) frame_pointer: Option<usize>,
    /// The link register, if the walk has used it.
    pub(super) link: Option<usize>,
    /// The words that matter, in the order in which they were read.
    pub(super) words: Box<[StackWord]>,
}

impl WalkInputs {
    /// Returns `true` if a walk from `ip` with these registers up to `mark` has the same inputs.
    fn is_same(&self, ip: usize, registers: &Registers, mark: Mark) -> bool {
        self.ip == ip
            && self.mark == mark
            && self.stack_pointer == registers.stack_pointer
            && self
                .frame_pointer
                .is_none_or(|used| used == registers.frame_pointer)
            && self.link.is_none_or(|used| registers.link == Some(used))
            // SAFETY: the comparisons above have proved that this walk has the start, the end and the used registers of
            // the walk that has read these words, and the unwind tables are the same (`FastWalker::refresh`). `all`
            // stops at the first word that differs. So `read` is called only if the words before have the same values
            // as in that walk, which is its condition.
            && (self.words.iter()).all(|word| unsafe { read(word.address) } == word.value)
    }
}

/// Reads a word of the stack.
///
/// # Safety
///
/// A walk with the same start, end and registers must have read `address`, and the words that matter and that it read
/// before must have the same values now. These words determine the rest of the walk. So the unwind tables, which are
/// the same too, say that a running function of this thread has saved a register at `address`.
#[inline(always)]
unsafe fn read(address: usize) -> usize {
    // SAFETY: by the `# Safety` section, the earlier walk has read this address, so it is aligned and between the stack
    // pointer and the mark of that walk (`own_stack` checks both). Both are the same in this walk, so the word is on
    // the stack of this thread. It belongs to no object that the compiler knows, so it is read as an integer by a
    // volatile read.
    unsafe { core::ptr::with_exposed_provenance::<usize>(address).read_volatile() }
}

/// An entry of the cache.
struct CachedWalk {
    inputs: WalkInputs,
    /// The marks that the walk has passed, outermost first.
    marks: Box<[Mark]>,
    path: Arc<CallPath>,
}
