//! A fast hash for numbers: addresses, offsets and types.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

pub(crate) type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<Fast>>;
pub(crate) type FastSet<K> = HashSet<K, BuildHasherDefault<Fast>>;

/// Multiplies and rotates. It does not resist chosen keys; walks are bounded in time whatever the keys are.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fast(u64);

/// The golden ratio, as is usual for hashes by multiplication.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for Fast {
    fn finish(&self) -> u64 {
        // Tables take the upper bits and the lower ones.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(FACTOR);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }
}
