//! The synchronisation that the protocols of [`task`](crate::task) are built on: the standard
//! library's, or
//!
//! * with `--cfg tasktrace_loom`, loom's, when they are being model-checked;
//! * with `--cfg tasktrace_tsan`, locks that ThreadSanitizer sees through ([`tsan`]), for it to
//!   report what is a race and nothing else.

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

#[cfg(not(any(tasktrace_loom, tasktrace_tsan)))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(all(tasktrace_tsan, not(tasktrace_loom)))]
pub(crate) use tsan::{Condvar, Mutex, MutexGuard};

/// For what is static, and so no part of a model.
#[cfg(not(tasktrace_tsan))]
pub(crate) use std::sync::{
    Condvar as StaticCondvar, Mutex as StaticMutex, MutexGuard as StaticMutexGuard,
};

#[cfg(tasktrace_tsan)]
pub(crate) use tsan::{
    Condvar as StaticCondvar, Mutex as StaticMutex, MutexGuard as StaticMutexGuard,
};

#[cfg(tasktrace_tsan)]
mod tsan;

#[cfg(not(tasktrace_loom))]
pub(crate) use cell::UnsafeCell;

#[cfg(not(tasktrace_loom))]
mod cell {
    /// The standard cell with the interface of loom's, which checks each access.
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

/// Locks also after a panic: what our locks protect is whole between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
