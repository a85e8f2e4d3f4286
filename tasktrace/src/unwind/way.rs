//! What is kept of a walk: the return addresses, and which marked functions they are in.

use std::hash::{Hash, Hasher};
use std::ops::Deref;

use super::ReturnAddress;

/// A step from the root of a stack to its leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Ip(ReturnAddress),
    /// The next of the marks, from the outside in, is in the function of the step before.
    Mark,
    /// Here frames are missing: the stack was deeper than the limit.
    Cut,
    /// Here frames are missing: the stack could not be followed.
    Lost,
}

/// The way from the root of a stack to its leaf. Those of stacks that are the same are shared, as far
/// as that is known without comparing them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// So that ways that differ are known to at a glance.
    hash: u64,
    steps: Box<[Step]>,
}

impl Way {
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        let hash = steps.iter().fold(0_u64, |hash, step| {
            let word = match step {
                Step::Ip(address) => address.0 as u64,
                Step::Mark => 1,
                Step::Cut => 2,
                Step::Lost => 3,
            };
            // Fibonacci hashing: 2⁶⁴ divided by the golden ratio.
            (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        Self {
            hash,
            steps: steps.into(),
        }
    }
}

impl Hash for Way {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Deref for Way {
    type Target = [Step];

    fn deref(&self) -> &[Step] {
        &self.steps
    }
}
