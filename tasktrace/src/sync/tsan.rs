//! The standard library's locks, with what ThreadSanitizer does not see of them said once more.
//!
//! It learns what happens before what from the atomic operations that it has instrumented. Those in
//! the slow paths of the standard library are not among them, because the library comes compiled:
//! where a lock was waited for, it looks as if it had never been taken. So here whoever unlocks
//! stores to an atomic of ours before, and whoever has locked loads it after.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{self as real, LockResult, PoisonError};
#[cfg(feature = "attach")]
use std::sync::{TryLockError, TryLockResult};
use std::time::Duration;

/// Written with `Release` before each unlocking and read with `Acquire` after each locking.
#[derive(Debug)]
struct Edge(AtomicU8);

#[derive(Debug)]
pub(crate) struct Mutex<T> {
    mutex: real::Mutex<T>,
    edge: Edge,
}

pub(crate) struct MutexGuard<'a, T> {
    /// `None` when it is being waited with.
    guard: Option<real::MutexGuard<'a, T>>,
    edge: &'a Edge,
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            mutex: real::Mutex::new(value),
            edge: Edge(AtomicU8::new(0)),
        }
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let guard = self.mutex.lock();
        Ok(self
            .edge
            .locked(guard.unwrap_or_else(PoisonError::into_inner)))
    }

    #[cfg(feature = "attach")]
    pub(crate) fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        match self.mutex.try_lock() {
            Ok(guard) => Ok(self.edge.locked(guard)),
            Err(TryLockError::Poisoned(error)) => Ok(self.edge.locked(error.into_inner())),
            Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
        }
    }
}

impl Edge {
    fn locked<'a, T>(&'a self, guard: real::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.load(Ordering::Acquire);
        MutexGuard {
            guard: Some(guard),
            edge: self,
        }
    }
}

impl<'a, T> MutexGuard<'a, T> {
    /// What is about to be unlocked.
    fn take(&mut self) -> Option<real::MutexGuard<'a, T>> {
        let guard = self.guard.take()?;
        self.edge.0.store(0, Ordering::Release);
        Some(guard)
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_deref().expect("it is locked")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_deref_mut().expect("it is locked")
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

#[derive(Debug)]
pub(crate) struct Condvar(real::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(real::Condvar::new())
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    pub(crate) fn wait<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
    ) -> LockResult<MutexGuard<'a, T>> {
        let edge = guard.edge;
        let locked = guard.take().expect("it is locked");
        let locked = self.0.wait(locked);
        Ok(edge.locked(locked.unwrap_or_else(PoisonError::into_inner)))
    }

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, real::WaitTimeoutResult)> {
        let edge = guard.edge;
        let locked = guard.take().expect("it is locked");
        let waited = self.0.wait_timeout(locked, timeout);
        let (locked, result) = waited.unwrap_or_else(PoisonError::into_inner);
        Ok((edge.locked(locked), result))
    }
}
