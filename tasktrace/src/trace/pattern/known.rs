//! The patterns that were made so far.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, PoisonError};

use super::{Key, Pattern, walk};
use crate::symbol::Paths;
use crate::sync::map::{has_room, larger};
use crate::sync::{StaticMutex as Mutex, StaticMutexGuard as MutexGuard};

/// So many are kept. Programs wait in fewer ways.
const MOST: usize = 1 << 12;

/// So many frames are kept in all of them together, steps of ways and words of keys counted as well:
/// some tens of megabytes. Each way into a deep recursion is another.
pub(super) const MOST_FRAMES: usize = 1 << 18;

/// All of them are forgotten when there are too many, or when paths are shortened in another way.
struct Known {
    /// What the paths in all of them were shortened with.
    paths: Arc<Paths>,
    patterns: Patterns,
    /// How many frames, steps and words that is.
    size: usize,
}

type Patterns = HashMap<Key, Arc<Pattern>, BuildHasherDefault<Words>>;

/// Nothing is allocated or freed while it is locked.
static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Known>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the pattern of this key, if it is known and has paths that are shortened like that.
pub(in crate::trace) fn find(key: &Key, paths: &Arc<Paths>) -> Option<Arc<Pattern>> {
    let known = lock();
    let known = known.as_ref();
    let known = known.filter(|known| Arc::ptr_eq(&known.paths, paths))?;
    known.patterns.get(key).cloned()
}

/// Another thread may have taken the room that was made, so many times in a row.
const MOST_TRIES: usize = 8;

/// Keeps a pattern. Another thread may have made the same in the meantime: then that is returned.
pub(in crate::trace) fn insert(key: Key, paths: &Arc<Paths>, pattern: Pattern) -> Arc<Pattern> {
    let pattern = Arc::new(pattern);
    let size = key.size() + walk(&pattern.tree.frames).count();
    let mut key = Some(key);
    let mut spare = Patterns::default();
    // Not dropped under the lock.
    let mut before = Vec::with_capacity(MOST_TRIES);
    for _ in 0..MOST_TRIES {
        let length = {
            let mut known = lock();
            let is_right = |known: &Known| Arc::ptr_eq(&known.paths, paths) && !known.is_full();
            if !known.as_ref().is_some_and(is_right) {
                before.push(known.replace(Known::new(paths)));
            }
            let Some(known) = known.as_mut() else {
                break;
            };
            if let Some(kept) = key.as_ref().and_then(|key| known.patterns.get(key)) {
                return Arc::clone(kept);
            }
            if has_room(&mut known.patterns, 1, &mut spare) {
                if let Some(key) = key.take() {
                    known.size += size;
                    known.patterns.insert(key, Arc::clone(&pattern));
                }
                break;
            }
            known.patterns.len()
        };
        spare = larger(length, 1);
    }
    pattern
}

impl Known {
    /// Allocates nothing.
    fn new(paths: &Arc<Paths>) -> Self {
        Self {
            paths: Arc::clone(paths),
            patterns: Patterns::default(),
            size: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.patterns.len() >= MOST || self.size >= MOST_FRAMES
    }
}

/// How many frames, steps and words are kept.
#[cfg(test)]
pub(super) fn size() -> usize {
    lock().as_ref().map_or(0, |known| known.size)
}

/// For words that nobody chooses who means harm: the addresses and the numbers in a raw trace.
#[derive(Default)]
pub(in crate::trace) struct Words(u64);

impl Words {
    fn add(&mut self, word: u64) {
        // Fibonacci hashing: 2⁶⁴ divided by the golden ratio.
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Words {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.add(u64::from_ne_bytes(*word));
        }
        for byte in rest {
            self.add(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.add(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.add(word as u64);
    }

    fn finish(&self) -> u64 {
        // The upper bits have been mixed best, and a map takes the lowest and the uppermost.
        self.0 ^ self.0 >> 32
    }
}
