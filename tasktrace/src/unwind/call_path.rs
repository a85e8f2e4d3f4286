//! Stores the result of a walk: the return addresses, and the marked functions that they belong to.

use std::hash::{Hash, Hasher};
use std::ops::Deref;

use super::ReturnAddress;

/// Spreads the differences between words over the upper bits: Fibonacci hashing, the factor of which is 2⁶⁴ divided by
/// the golden ratio.
#[inline(always)]
pub(crate) const fn fibonacci_hash(word: u64) -> u64 {
    word.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A step on the path from the root of a stack to its leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Ip(ReturnAddress),
    /// The next mark, counted from the root, is that of the function of the step before.
    Mark,
    /// Frames are missing here: the stack was deeper than the limit.
    Cut,
    /// Frames are missing here: the stack could not be followed.
    Lost,
}

/// The path from the root of a stack to its leaf. Equal stacks share a call path if the walker finds it in its cache.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CallPath {
    /// The hash of the steps. It is compared first, so different call paths are mostly told apart at once.
    hash: u64,
    steps: Box<[Step]>,
}

impl CallPath {
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        let hash = steps.iter().fold(0_u64, |hash, step| {
            let word = match step {
                Step::Ip(address) => address.0 as u64,
                Step::Mark => 1,
                Step::Cut => 2,
                Step::Lost => 3,
            };
            fibonacci_hash(hash.rotate_left(23) ^ word)
        });
        Self {
            hash,
            steps: steps.into(),
        }
    }
}

impl Hash for CallPath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Deref for CallPath {
    type Target = [Step];

    fn deref(&self) -> &[Step] {
        &self.steps
    }
}
