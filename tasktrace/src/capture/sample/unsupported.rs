//! Where threads are not interrupted.

use std::time::Instant;

use super::{Collect, NoSample, SampleSignalError, Walked};
use crate::os::signal_stack::SignalStack;

/// Chooses the signal by which threads are interrupted, where they are: nothing, on this system.
///
/// See the version of this function on Linux.
///
/// # Errors
///
/// None, on this system.
pub fn set_sample_signal(_signal: Option<i32>) -> Result<(), SampleSignalError> {
    Ok(())
}

/// There is no need.
pub(super) fn make_room() -> Option<SignalStack> {
    None
}

pub(super) fn sample(_: u64, _: bool, _: Collect, _: Instant) -> Result<Walked, NoSample> {
    Err(NoSample::Unsupported)
}
