//! The patterns that were made so far.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::{Arc, PoisonError};

use super::{Detail, Key, Pattern, walk};
use crate::capture::{Form, Way};
use crate::symbol::Paths;
use crate::sync::{StaticMutex as Mutex, StaticMutexGuard as MutexGuard};

/// So many are kept. Programs wait in fewer ways.
const MOST: usize = 1 << 12;

/// So many frames are kept in all of them together, steps of ways and words of keys counted as well:
/// some tens of megabytes. Each way into a deep recursion is another.
pub(super) const MOST_FRAMES: usize = 1 << 18;

struct Known {
    /// What the paths in all of them were shortened with.
    paths: Arc<Paths>,
    patterns: HashMap<Box<[u64]>, Arc<Pattern>, BuildHasherDefault<Words>>,
    /// What the ways in their keys are known as.
    ways: HashMap<Numbered, u64, BuildHasherDefault<Words>>,
    /// How many frames, steps and words that is.
    size: usize,
}

static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Known>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// That of a raw trace, if it is known how its paths are shortened. `key` is room for its key.
pub(in crate::trace) fn find(
    key: &mut Key,
    detail: Detail,
    raw: &Form,
    paths: &Arc<Paths>,
) -> Option<Arc<Pattern>> {
    let mut known = lock();
    let known = known.as_mut()?;
    if !Arc::ptr_eq(&known.paths, paths) {
        return None;
    }
    key.fill(detail, raw, |way| known.number(way));
    known.patterns.get(key.words()).cloned()
}

/// Keeps one. Another thread may have made the same in the meantime: then that is returned.
pub(in crate::trace) fn insert(
    key: &mut Key,
    detail: Detail,
    raw: &Form,
    paths: Arc<Paths>,
    pattern: Pattern,
) -> Arc<Pattern> {
    let pattern = Arc::new(pattern);
    let mut known = lock();
    let is_right = |known: &Known| Arc::ptr_eq(&known.paths, &paths) && !known.is_full();
    // Not dropped under the lock.
    let old = match known.as_ref().is_some_and(is_right) {
        true => None,
        false => known.replace(Known {
            paths,
            patterns: HashMap::default(),
            ways: HashMap::default(),
            size: 0,
        }),
    };
    let kept = known.as_mut().map(|known| {
        key.fill(detail, raw, |way| known.number(way));
        let kept = known.patterns.entry(key.words().into());
        Arc::clone(kept.or_insert_with(|| {
            known.size += key.words().len() + walk(&pattern.tree.frames).count();
            Arc::clone(&pattern)
        }))
    });
    drop(known);
    drop(old);
    kept.unwrap_or(pattern)
}

impl Known {
    fn is_full(&self) -> bool {
        self.patterns.len() >= MOST || self.ways.len() >= MOST || self.size >= MOST_FRAMES
    }

    fn number(&mut self, way: &Arc<Way>) -> u64 {
        let next = self.ways.len() as u64;
        // Most are the very same as the first.
        *self
            .ways
            .entry(Numbered(Arc::clone(way)))
            .or_insert_with(|| {
                self.size += way.len();
                next
            })
    }
}

/// How many frames, steps and words are kept.
#[cfg(test)]
pub(super) fn size() -> usize {
    lock().as_ref().map_or(0, |known| known.size)
}

/// A way that has a number.
struct Numbered(Arc<Way>);

impl Hash for Numbered {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash_of_steps().hash(state);
    }
}

impl PartialEq for Numbered {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Numbered {}

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
