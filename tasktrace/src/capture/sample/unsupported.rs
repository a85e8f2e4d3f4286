//! Replaces `linux` and `suspend` where threads cannot be interrupted: there are no samples.

use super::{NoSample, ReadSampledScopes, SampleSignalError, StateAddress, WalkedSample};
use crate::os::signal_stack::SignalStack;
use crate::os::time::Instant;

/// Does nothing on this system. On Linux, it selects the signal that interrupts threads for samples of running tasks.
///
/// # Errors
///
/// Returns no error on this system.
pub fn set_sample_signal(_signal: Option<i32>) -> Result<(), SampleSignalError> {
    Ok(())
}

/// Returns `None`, because no handler will run.
pub(super) fn install_handler_stack() -> Option<SignalStack> {
    SignalStack::install()
}

pub(super) fn sample(
    _: u64,
    _: bool,
    _: &StateAddress,
    _: ReadSampledScopes,
    _: Instant,
) -> Result<WalkedSample, NoSample> {
    Err(NoSample::Unsupported)
}
