//! Grants one requester at a time the permit to interrupt threads.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use super::super::handshake::Handshake;
use super::buffer::SampleBuffer;
use super::shared_buffer::{IN_USE, SharedBuffer};
use crate::os::time::Instant;

/// The number of the process whose requester has the permit, or 0 if no requester has it.
pub(super) static PERMIT_HOLDER: AtomicU32 = AtomicU32::new(0);

/// The permit to interrupt threads. At most one exists in a process.
pub(super) struct InterruptPermit(());

impl InterruptPermit {
    /// Waits until no other thread has the permit. Returns `None` if the deadline passes first.
    pub(super) fn wait(deadline: Instant) -> Option<Self> {
        let process = std::process::id();
        loop {
            match Self::take(0, process) {
                Ok(permit) => return Some(permit),
                // This process was forked while a thread of its parent had the permit. The child does not have that
                // thread.
                Err(parent) if parent != process => {
                    if let Ok(permit) = Self::take(parent, process) {
                        SharedBuffer::forget_all();
                        return Some(permit);
                    }
                }
                Err(_) if Instant::now() >= deadline => return None,
                Err(_) => thread::sleep(Duration::from_micros(200)),
            }
        }
    }

    fn take(from: u32, process: u32) -> Result<Self, u32> {
        let taken =
            PERMIT_HOLDER.compare_exchange(from, process, Ordering::Acquire, Ordering::Relaxed);
        taken.map(|_| Self(()))
    }

    /// Returns the buffer that is in use.
    pub(super) fn shared(&self) -> &'static Handshake<SampleBuffer> {
        &SharedBuffer::in_use_or_new().handshake
    }

    /// Leaves the buffer that is in use to a handler that has not finished.
    pub(super) fn abandon(&self) {
        IN_USE.set(None);
    }
}

impl Drop for InterruptPermit {
    fn drop(&mut self) {
        PERMIT_HOLDER.store(0, Ordering::Release);
    }
}
