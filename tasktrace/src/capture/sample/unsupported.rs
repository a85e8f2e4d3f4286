//! Where threads are not interrupted.

use std::time::Instant;

use super::{Collect, NoSample, Walked};

/// Chooses the signal by which threads are interrupted, where they are: nothing, on this system.
///
/// See the version of this function on Linux.
pub fn set_sample_signal(_signal: Option<i32>) {}

pub(super) fn sample(_: u64, _: Collect, _: Instant) -> Result<Walked, NoSample> {
    Err(NoSample::Unsupported)
}
