//! Wraps the standard library's locks, to coordinate them with `fork`, to count them, and to show them to
//! ThreadSanitizer.
//!
//! Each held lock is a [section](super::fork): no other thread holds one when the process is forked.
//!
//! ThreadSanitizer learns the order of events from the atomic operations that it has instrumented. Those in the slow
//! paths of the standard library are not among them, because that library comes compiled: a lock that was waited for
//! looks as if it had never been taken. So a thread that unlocks stores to an atomic of tasktrace before, and a thread
//! that has locked loads it after.
//!
//! Each thread counts the locks that it [holds](super::locks_held). No memory is allocated or freed and no foreign code
//! is called while a lock of tasktrace is held. An allocator, like all foreign code, may request a trace, and would
//! deadlock. Tests check that by the count.
//!
//! A panic does not poison a lock: protected data is consistent after every statement.

use std::ops::{Deref, DerefMut};
#[cfg(tasktrace_tsan)]
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{self as std_sync, LockResult, PoisonError, TryLockError, TryLockResult};
use std::time::Duration;

use super::fork::NoForkSection;
use super::reentrancy::HeldLock;

/// Tells ThreadSanitizer that each unlocking happens before the next locking. Written with `Release` before each
/// unlocking, and read with `Acquire` after each locking.
#[derive(Debug)]
struct TsanEdge(#[cfg(tasktrace_tsan)] AtomicU8);

impl TsanEdge {
    const fn new() -> Self {
        Self(
            #[cfg(tasktrace_tsan)]
            AtomicU8::new(0),
        )
    }

    fn before_unlocking(&self) {
        #[cfg(tasktrace_tsan)]
        self.0.store(0, Ordering::Release);
    }

    fn after_locking(&self) {
        #[cfg(tasktrace_tsan)]
        self.0.load(Ordering::Acquire);
    }
}

#[derive(Debug)]
pub(crate) struct Mutex<T> {
    mutex: std_sync::Mutex<T>,
    edge: TsanEdge,
}

pub(crate) struct MutexGuard<'a, T> {
    /// `None` while a condition variable has the guard.
    guard: Option<std_sync::MutexGuard<'a, T>>,
    edge: &'a TsanEdge,
    /// Ends after the mutex has been unlocked.
    section: Option<NoForkSection>,
    /// Dropped after the section has ended.
    _held: HeldLock,
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            mutex: std_sync::Mutex::new(value),
            edge: TsanEdge::new(),
        }
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let section = NoForkSection::enter();
        let guard = self.mutex.lock();
        let guard = guard.unwrap_or_else(PoisonError::into_inner);
        Ok(MutexGuard::new(&self.edge, guard, section))
    }

    pub(crate) fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        let section = NoForkSection::enter();
        match self.mutex.try_lock() {
            Ok(guard) => Ok(MutexGuard::new(&self.edge, guard, section)),
            Err(TryLockError::Poisoned(error)) => {
                Ok(MutexGuard::new(&self.edge, error.into_inner(), section))
            }
            Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
        }
    }
}

impl<'a, T> MutexGuard<'a, T> {
    fn new(edge: &'a TsanEdge, guard: std_sync::MutexGuard<'a, T>, section: NoForkSection) -> Self {
        edge.after_locking();
        Self {
            guard: Some(guard),
            edge,
            section: Some(section),
            _held: HeldLock::new(),
        }
    }

    /// Takes the guard of the standard library's mutex, which is about to be unlocked.
    fn take(&mut self) -> Option<std_sync::MutexGuard<'a, T>> {
        let guard = self.guard.take()?;
        self.edge.before_unlocking();
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
        drop(self.section.take());
    }
}

/// A condition variable.
///
/// A thread that waits is in no section. After it was notified, it holds the lock for a moment before it enters its
/// section again.
#[derive(Debug)]
pub(crate) struct Condvar(std_sync::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(std_sync::Condvar::new())
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
        drop(guard);
        let locked = self.0.wait(locked);
        let locked = locked.unwrap_or_else(PoisonError::into_inner);
        Ok(MutexGuard::new(edge, locked, NoForkSection::enter()))
    }

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, std_sync::WaitTimeoutResult)> {
        let edge = guard.edge;
        let locked = guard.take().expect("it is locked");
        drop(guard);
        let waited = self.0.wait_timeout(locked, timeout);
        let (locked, result) = waited.unwrap_or_else(PoisonError::into_inner);
        Ok((
            MutexGuard::new(edge, locked, NoForkSection::enter()),
            result,
        ))
    }
}

#[cfg(all(test, not(tasktrace_loom)))]
mod tests {
    use super::*;
    use crate::sync::{is_reentrant, locks_held};

    #[test]
    fn locks_are_counted_while_they_are_held() {
        let (one, other, changed) = (Mutex::new(1), Mutex::new(2), Condvar::new());
        let unpoison = |guard: LockResult<_>| guard.unwrap_or_else(PoisonError::into_inner);
        let first = unpoison(one.lock());
        assert_eq!((locks_held(), is_reentrant()), (1, true));
        let second = other.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(*first + *second, 3);
        assert_eq!(locks_held(), 2);
        drop(second);
        let waited = changed.wait_timeout(first, Duration::ZERO);
        let (first, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert_eq!(locks_held(), 1);
        drop(first);
        assert_eq!((locks_held(), is_reentrant()), (0, false));
    }
}
