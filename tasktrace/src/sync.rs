//! The synchronisation that the protocols of [`task`](crate::task) are built on: the standard
//! library's, whose [locks](mutex) are counted, or with `--cfg tasktrace_loom` loom's, when they are being
//! model-checked.
//!
//! * [`mutex`]: locks, which are counted, and seen through by ThreadSanitizer with `--cfg tasktrace_tsan`.
//! * [`inside`]: what a thread is in the middle of.
//! * [`caught`](fn@caught): calls of foreign code that may panic.
//! * [`map`]: maps behind locks, in which nothing is allocated while they are locked.
//!
//! No lock is locked in a child of `fork`: see [`fork`].

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

/// For what is static, and so no part of a model.
pub(crate) use mutex::{
    Condvar as StaticCondvar, Mutex as StaticMutex, MutexGuard as StaticMutexGuard,
};

pub(crate) use caught::caught;
pub(crate) use inside::{Inside, held, is_inside};
pub(crate) use map::Map;

mod caught;
pub(crate) mod fork;
mod inside;
pub(crate) mod map;
mod mutex;
mod wanted;

pub(crate) use wanted::is_unwanted;
#[cfg(feature = "http")]
pub(crate) use wanted::while_wanted;

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
#[inline]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
