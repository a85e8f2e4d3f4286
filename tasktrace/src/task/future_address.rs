//! Stores where the future of a task is, so that it can be read from memory (feature `inspect`).

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::erased_future::ErasedFuture;

/// The place of the future of a task: null until the first poll has left the task suspended.
///
/// A future that was polled is pinned, so it stays there until it is dropped.
pub(super) struct FutureAddressCell {
    future: AtomicPtr<()>,
    /// The vtable by which the future was polled, which tells its type.
    vtable: AtomicPtr<()>,
}

/// The places of the future of a task in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FutureAddress {
    pub(crate) future: usize,
    pub(crate) vtable: usize,
    /// The place of the word that changes with each poll: see `LastPoll`.
    pub(crate) last_poll: usize,
}

impl FutureAddressCell {
    pub(super) const fn new() -> Self {
        Self {
            future: AtomicPtr::new(ptr::null_mut()),
            vtable: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Forgets the future. Called before the header is published with a new task.
    pub(super) fn clear(&self) {
        self.future.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// Notes where the future is, which has been polled.
    pub(super) fn note(&self, future: &mut dyn ErasedFuture) {
        let address = future.address();
        // SAFETY: `transmute` compiles only if the sizes are equal. A reference to a trait object is two initialised
        // pointers, and each value of a pointer is a valid `*mut ()`. Neither is dereferenced. If the compiler changed
        // their order, no type would have the other one as its vtable, and the future would not be read.
        let [_, vtable]: [*mut (); 2] = unsafe { std::mem::transmute(future) };
        self.vtable.store(vtable, Ordering::Relaxed);
        // Release: a thread that sees the future also sees the vtable.
        self.future.store(address.cast_mut(), Ordering::Release);
    }

    /// Returns where the future is, if its first poll has ended. `last_poll` is the place of the word of its last poll.
    pub(super) fn get(&self, last_poll: usize) -> Option<FutureAddress> {
        let future = self.future.load(Ordering::Acquire).addr();
        (future != 0).then(|| FutureAddress {
            future,
            vtable: self.vtable.load(Ordering::Relaxed).addr(),
            last_poll,
        })
    }
}
