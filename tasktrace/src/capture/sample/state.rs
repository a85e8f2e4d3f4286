//! Stores the address of the state of a thread, so that another thread can read the polls that the thread is in the
//! middle of.
//!
//! * [`fiber`]: tells whether the thread uses fibers, which only Windows has.

#[cfg_attr(not(windows), path = "state/no_fiber.rs")]
mod fiber;

use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use self::fiber::ThreadBlock;
use super::SuspendedThread;

/// The address of the state of a thread, as long as the thread is registered.
#[derive(Clone, Debug, Default)]
pub(crate) struct StateAddress(Arc<Addresses>);

#[derive(Debug, Default)]
struct Addresses {
    state: AtomicPtr<()>,
    thread_block: ThreadBlock,
}

impl StateAddress {
    /// Registers the state. Called by its thread.
    pub(crate) fn set(&self, state: *const ()) {
        self.0.thread_block.set();
        self.0.state.store(state.cast_mut(), Ordering::Release);
    }

    /// Unregisters the state. Called by its thread, before the state is destroyed.
    pub(crate) fn clear(&self) {
        self.0.state.store(ptr::null_mut(), Ordering::Release);
    }

    /// Returns the state if it is registered.
    pub(super) fn get(&self) -> Option<NonNull<()>> {
        NonNull::new(self.0.state.load(Ordering::Acquire))
    }

    /// Returns `true` if the thread uses fibers. The token must be that of the thread whose state is registered here.
    pub(super) fn is_fiber(&self, thread: &SuspendedThread<'_>) -> bool {
        self.0.thread_block.is_fiber(thread)
    }
}
