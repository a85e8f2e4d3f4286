//! The readers' side of the table: copies of it, and looks at it where it is.

use std::ptr;
use std::sync::Arc as StdArc;

use super::{DYNAMIC, FIRST_CHUNK, Frames, Gone, Key, OWN_WAKER, Slot, all_gone};
use crate::origin::{FrameMeta, Identity};
use crate::sync::{Ordering, fence, lock, spin_loop};
use crate::task::clock::Tick;
use crate::task::stamp::Stamp;

/// How often a reader tries to get a copy.
const TRIES: usize = 256;
/// How often without letting other threads run. The owner may be waiting for a processor, in the
/// middle of a change.
const TRIES_AT_ONCE: usize = 32;

/// A frame, as a reader has found it.
#[derive(Clone, Debug)]
pub(crate) struct Copied {
    pub(crate) key: Key,
    pub(crate) parent: Key,
    pub(crate) identity: Identity,
    pub(crate) since: Tick,
    pub(crate) stamp: Stamp,
    /// Whether it was polled with a waker that is not its task's.
    pub(crate) own_waker: bool,
}

impl Frames {
    /// A copy of the table. `None` if it was being changed all the time.
    ///
    /// The caller has a reference to the record.
    pub(crate) fn copy(&self) -> Option<Vec<Copied>> {
        self.copy_as(Some)
    }

    /// The same, made into something else. What that is `None` of is left out.
    pub(crate) fn copy_as<T>(&self, make: impl Fn(Copied) -> Option<T>) -> Option<Vec<T>> {
        let gone = self.gone();
        let mut copy = Vec::with_capacity(self.used.load(Ordering::Relaxed) as usize);
        for attempt in 0..TRIES {
            if self.try_copy(&mut copy)
                && let Some(complete) = self.complete(&copy, &gone, &make)
            {
                return Some(complete);
            }
            match attempt {
                0..TRIES_AT_ONCE => spin_loop(),
                _ => std::thread::yield_now(),
            }
        }
        None
    }

    /// Looks at the table without a copy. `None` if there is more to it than that, or if it was changed
    /// meanwhile: then what was seen belongs to different times.
    ///
    /// The caller has a reference to the record.
    #[inline]
    pub(crate) fn peek<R>(&self, look: impl FnOnce(Peek<'_>) -> R) -> Option<R> {
        // As in `gone` and `try_copy`.
        let before = self.sequence.load(Ordering::Acquire);
        if !before.is_multiple_of(2) || self.any_gone.load(Ordering::Acquire) {
            return None;
        }
        let result = look(Peek(self));
        fence(Ordering::Acquire);
        (self.sequence.load(Ordering::Relaxed) == before).then_some(result)
    }

    /// Has what leads to the slots fetched from memory: it is needed soon, and not before.
    #[inline]
    pub(crate) fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

            let first = self.first.load(Ordering::Relaxed);
            let others = self.others.load(Ordering::Relaxed);
            // SAFETY: they do nothing that could be seen, wherever the pointers lead.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(first.cast());
                _mm_prefetch::<_MM_HINT_T0>(first.cast::<i8>().wrapping_add(64));
                _mm_prefetch::<_MM_HINT_T0>(others.cast());
            }
        }
    }

    /// What was noted before this.
    pub(super) fn gone(&self) -> Vec<(Key, Gone)> {
        // Acquire: what was noted and is not any more is seen to be off the table.
        if !self.any_gone.load(Ordering::Acquire) {
            return Vec::new();
        }
        lock(&self.gone).clone()
    }

    pub(super) fn try_copy(&self, copy: &mut Vec<Words>) -> bool {
        copy.clear();
        // Acquire: sees all the changes that were made before the counter was this.
        let before = self.sequence.load(Ordering::Acquire);
        if !before.is_multiple_of(2) {
            return false;
        }
        for number in 1..=self.used.load(Ordering::Relaxed) {
            let Some(slot) = self.slot(number) else {
                return false;
            };
            let meta = slot.identity.load(Ordering::Relaxed);
            if meta.is_null() {
                continue;
            }
            copy.push(Words {
                key: Key::new(number, slot.serial.load(Ordering::Relaxed)),
                meta,
                stamp: slot.stamp.load(Ordering::Relaxed),
                parent: slot.parent.load(Ordering::Relaxed),
                since: slot.since.load(Ordering::Relaxed),
            });
        }
        // If one of these loads saw a change, the next one sees that the counter was made odd.
        fence(Ordering::Acquire);
        self.sequence.load(Ordering::Relaxed) == before
    }

    /// Makes frames of the words, without those that are gone. `None` if one has ended since that
    /// has something beside the table: what is left would be half of a tree.
    pub(super) fn complete<T>(
        &self,
        words: &[Words],
        gone: &[(Key, Gone)],
        make: &impl Fn(Copied) -> Option<T>,
    ) -> Option<Vec<T>> {
        let parent = |words: &Words| Key(words.parent & !OWN_WAKER);
        let gone = all_gone(gone, words.iter().map(|words| (words.key, parent(words))));
        let is_dynamic = |words: &Words| ptr::eq(words.meta, &raw const DYNAMIC);
        let dynamic = words.iter().any(is_dynamic).then(|| lock(&self.dynamic));
        let mut made = Vec::with_capacity(words.len());
        for words in words.iter().filter(|words| !gone.contains(&words.key)) {
            let identity = if is_dynamic(words) {
                Identity::Dynamic(StdArc::clone(dynamic.as_ref()?.get(&words.key)?))
            } else {
                // SAFETY: only pointers to what is static are stored in slots.
                Identity::Static(unsafe { &*words.meta })
            };
            made.extend(make(Copied {
                key: words.key,
                parent: parent(words),
                identity,
                since: Tick(words.since),
                stamp: Stamp::from_bits(words.stamp),
                own_waker: words.parent & OWN_WAKER != 0,
            }));
        }
        Some(made)
    }

    /// How many frames there are, for tests.
    pub(crate) fn len(&self) -> usize {
        self.copy().map_or(0, |frames| frames.len())
    }
}

/// A slot, copied word for word.
pub(super) struct Words {
    key: Key,
    meta: *const FrameMeta,
    stamp: u64,
    parent: u64,
    since: u32,
}

/// The table while it is looked at. It may be changed meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct Peek<'a>(&'a Frames);

/// So many frames can be seen in it: the slots of the first two chunks.
pub(crate) const PEEKED: usize = 3 * FIRST_CHUNK as usize;

/// A frame in the table, of which this is all there is.
pub(crate) struct Peeked {
    pub(crate) key: Key,
    pub(crate) parent: Key,
    /// Only to be compared.
    pub(crate) meta: *const FrameMeta,
    pub(crate) since: Tick,
    pub(crate) stamp: Stamp,
    pub(crate) own_waker: bool,
}

impl Peek<'_> {
    /// How many slots have been in use.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.0.used.load(Ordering::Relaxed) as usize
    }

    /// Tells of the frames in the slots of the first two chunks, unless there is a slot without one, or with
    /// more to it than this. Whether there is none.
    #[inline]
    pub(crate) fn each(self, mut see: impl FnMut(usize, Peeked)) -> bool {
        let used = self.0.used.load(Ordering::Relaxed);
        let in_first = used.min(FIRST_CHUNK);
        let mut at = 0;
        for (start, length) in [(1, in_first), (1 + FIRST_CHUNK, used - in_first)] {
            if length == 0 {
                break;
            }
            let Some(first) = self.0.slot(start) else {
                return false;
            };
            let first = ptr::from_ref(first);
            for slot in 0..length.min(2 * FIRST_CHUNK) {
                // SAFETY: the first chunk has so many slots, and the second twice as many; `first` is the
                // first of one of them.
                let slot = unsafe { &*first.add(slot as usize) };
                let Some(peeked) = Self::peeked(at + 1, slot) else {
                    return false;
                };
                see(at as usize, peeked);
                at += 1;
            }
        }
        true
    }

    #[inline]
    fn peeked(number: u32, slot: &Slot) -> Option<Peeked> {
        let meta = slot.identity.load(Ordering::Relaxed).cast_const();
        if meta.is_null() || ptr::eq(meta, &raw const DYNAMIC) {
            return None;
        }
        let parent = slot.parent.load(Ordering::Relaxed);
        Some(Peeked {
            key: Key::new(number, slot.serial.load(Ordering::Relaxed)),
            parent: Key(parent & !OWN_WAKER),
            meta,
            since: Tick(slot.since.load(Ordering::Relaxed)),
            stamp: Stamp::from_bits(slot.stamp.load(Ordering::Relaxed)),
            own_waker: parent & OWN_WAKER != 0,
        })
    }
}
