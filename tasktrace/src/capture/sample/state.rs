//! Stores the address of the state of a thread, so that another thread can read the polls that the thread is in the
//! middle of.

use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::SuspendedThread;

/// The address of the state of a thread, as long as the thread is registered.
#[derive(Clone, Debug, Default)]
pub(crate) struct StateAddress(Arc<Addresses>);

#[derive(Debug, Default)]
struct Addresses {
    state: AtomicPtr<()>,
    /// The block of information that the system has about the thread.
    thread_block: AtomicPtr<ThreadBlock>,
}

/// The beginning of the system's `NT_TIB`.
#[repr(C)]
struct ThreadBlock {
    _before: [usize; 4],
    /// The address of the running fiber. If the thread does not use fibers, a number that is too small for an address.
    fiber: usize,
}

/// The smallest address that Windows gives to a program.
const LEAST_ADDRESS: usize = 0x1_0000;

impl StateAddress {
    /// Registers the state. Called by its thread.
    pub(crate) fn set(&self, state: *const ()) {
        self.0.thread_block.store(thread_block(), Ordering::Relaxed);
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
    pub(super) fn is_fiber(&self, _: &SuspendedThread<'_>) -> bool {
        let block = self.0.thread_block.load(Ordering::Relaxed);
        // SAFETY: `set` has stored the address of the block of the thread, and the block exists until the thread has
        // ended. The token proves that the thread is suspended, so it has not ended and does not write. The only
        // caller, `ThreadCopy::fill`, makes the token from the address that is registered here, so it is of the same
        // thread. The volatile read assumes nothing about the rest of the block.
        let fiber = unsafe { (&raw const (*block).fiber).read_volatile() };
        fiber >= LEAST_ADDRESS
    }
}

/// Returns the address of the block of the calling thread.
fn thread_block() -> *mut ThreadBlock {
    let block: *mut ThreadBlock;
    // SAFETY: on x86_64, the segment `gs` begins with the block of the thread, and the block has its own address at
    // this offset. The instruction only reads that word.
    unsafe {
        std::arch::asm!(
            "mov {}, gs:[0x30]",
            out(reg) block,
            options(nostack, preserves_flags, readonly),
        );
    }
    block
}
