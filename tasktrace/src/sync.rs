//! Provides the synchronisation that the protocols of [`task`](crate::task) are built on. It is the standard
//! library's, with counted [locks](mutex), or loom's with `--cfg tasktrace_loom`, to check models of the protocols.
//!
//! * [`mutex`] has locks that are counted, and that ThreadSanitizer understands with `--cfg tasktrace_tsan`.
//! * [`reentrancy`] knows whether this crate's own code has called an allocator that calls it.
//! * [`catch_panic`](fn@catch_panic) calls foreign code that may panic.
//! * [`map`] has maps behind locks, in which nothing is allocated while they are locked.
//! * [`room`] adds to lists behind locks, and [`shared_value`] replaces values, in the same way.
//! * [`cancellation`] stops work whose requester has gone.
//! * [`fork`] keeps locks from being locked in a child of `fork`.

#[cfg(tasktrace_loom)]
pub(crate) use loom::{
    cell::UnsafeCell,
    hint::spin_loop,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering, fence},
    },
};

#[cfg(not(tasktrace_loom))]
pub(crate) use std::{
    hint::spin_loop,
    sync::{
        Arc,
        atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering, fence},
    },
};

#[cfg(not(tasktrace_loom))]
pub(crate) use mutex::{Condvar, Mutex, MutexGuard};

/// Locks for statics, which are never a part of a model.
pub(crate) use mutex::{
    Condvar as StaticCondvar, Mutex as StaticMutex, MutexGuard as StaticMutexGuard,
};

pub(crate) use catch_panic::catch_panic;
pub(crate) use map::LockedMap;
pub(crate) use reentrancy::{ReentrancyGuard, is_reentrant, locks_held};
pub(crate) use room::with_room;
pub(crate) use shared_value::SharedValue;

mod cancellation;
mod catch_panic;
pub(crate) mod fork;
pub(crate) mod map;
mod mutex;
mod reentrancy;
mod room;
mod shared_value;

pub(crate) use cancellation::is_cancelled;
#[cfg(feature = "http")]
pub(crate) use cancellation::run_cancellable;

#[cfg(not(tasktrace_loom))]
pub(crate) use cell::UnsafeCell;

#[cfg(not(tasktrace_loom))]
mod cell {
    /// The standard library's cell with the interface of loom's, which checks each access.
    #[derive(Debug)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }
}

/// Locks a mutex, also after a panic: what our locks protect is whole between any two statements.
#[inline]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
