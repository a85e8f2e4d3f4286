//! The patterns that were made so far.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, PoisonError};

use super::{Key, Pattern};
use crate::symbol::Paths;
use crate::sync::StaticMutex as Mutex;

/// So many are kept. Programs wait in fewer ways.
const MOST: usize = 1 << 12;

struct Known {
    /// What the paths in all of them were shortened with.
    paths: Arc<Paths>,
    patterns: HashMap<Box<[u64]>, Arc<Pattern>, BuildHasherDefault<Words>>,
}

static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

/// That of a raw trace with this key, if it is known how its paths are shortened.
pub(in crate::trace) fn find(key: &Key, paths: &Arc<Paths>) -> Option<Arc<Pattern>> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.as_ref()?;
    let pattern = known.patterns.get(key.words())?;
    Arc::ptr_eq(&known.paths, paths).then(|| Arc::clone(pattern))
}

/// Keeps one. Another thread may have made the same in the meantime: then that is returned.
pub(in crate::trace) fn insert(key: &Key, paths: Arc<Paths>, pattern: Pattern) -> Arc<Pattern> {
    let mut old = None;
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if !known
        .as_ref()
        .is_some_and(|known| Arc::ptr_eq(&known.paths, &paths) && known.patterns.len() < MOST)
    {
        let patterns = HashMap::default();
        old = known.replace(Known { paths, patterns });
    }
    let pattern = Arc::new(pattern);
    let kept = known.as_mut().map(|known| {
        let kept = known.patterns.entry(key.words().into());
        Arc::clone(kept.or_insert_with(|| Arc::clone(&pattern)))
    });
    drop(known);
    // Not under the lock.
    drop(old);
    kept.unwrap_or(pattern)
}

/// For words that nobody chooses who means harm: the addresses and the numbers in a raw trace.
#[derive(Default)]
struct Words(u64);

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

    fn write_usize(&mut self, word: usize) {
        self.add(word as u64);
    }

    fn finish(&self) -> u64 {
        // The upper bits have been mixed best, and a map takes the lowest and the uppermost.
        self.0 ^ self.0 >> 32
    }
}
