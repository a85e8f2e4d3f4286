//! Re-exports std's primitives (with counted [locks](mutex)), or loom's under `--cfg tasktrace_loom`, to check models
//! of the protocols of [`task`](crate::task).
//!
//! * [`mutex`] has locks that are counted, and that ThreadSanitizer understands with `--cfg tasktrace_tsan`.
//! * [`reentrancy`] detects calls from an allocator that tasktrace itself has called.
//! * [`catch_panic`](fn@catch_panic) calls foreign code that may panic.
//! * [`map`] has maps behind locks, in which nothing is allocated while they are locked.
//! * [`reserved`] adds to lists behind locks, and [`shared_value`] replaces values, in the same way.
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
#[allow(unused_imports, reason = "only the walker by unwind tables uses it")]
pub(crate) use reentrancy::HeldLock;
pub(crate) use reentrancy::{ReentrancyGuard, is_reentrant, locks_held};
pub(crate) use reserved::with_reserved;
pub(crate) use shared_value::SharedValue;

mod cancellation;
mod catch_panic;
pub(crate) mod fork;
pub(crate) mod map;
mod mutex;
mod reentrancy;
mod reserved;
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

/// Locks a mutex, also after a panic: protected data is consistent after every statement.
#[inline]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
