//! Tells whether a suspended thread uses fibers.

use std::sync::atomic::{AtomicPtr, Ordering};

use super::SuspendedThread;

/// The address of the block of information that the system has about a thread.
#[derive(Debug, Default)]
pub(super) struct ThreadBlock(AtomicPtr<Block>);

/// The beginning of the system's `NT_TIB`.
#[repr(C)]
struct Block {
    _before: [usize; 4],
    /// The address of the running fiber. If the thread does not use fibers, a number that is too small for an address.
    fiber: usize,
}

/// The smallest address that Windows gives to a program.
const LEAST_ADDRESS: usize = 0x1_0000;

impl ThreadBlock {
    /// Notes the block of the calling thread.
    pub(super) fn set(&self) {
        self.0.store(of_this_thread(), Ordering::Relaxed);
    }

    /// Returns `true` if the thread uses fibers. The token must be that of the thread that has called `set`.
    pub(super) fn is_fiber(&self, _: &SuspendedThread<'_>) -> bool {
        let block = self.0.load(Ordering::Relaxed);
        // SAFETY: `set` has stored the address of the block of the thread, and the block exists until the thread has
        // ended. The token proves that the thread is suspended, so it has not ended and does not write. The only
        // caller, `ThreadCopy::fill`, makes the token from the address that is registered with this block, so it is of
        // the same thread. The volatile read assumes nothing about the rest of the block.
        let fiber = unsafe { (&raw const (*block).fiber).read_volatile() };
        fiber >= LEAST_ADDRESS
    }
}

/// Returns the address of the block of the calling thread.
fn of_this_thread() -> *mut Block {
    let block: *mut Block;
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
