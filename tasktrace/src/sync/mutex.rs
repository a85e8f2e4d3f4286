//! The standard library's locks, each of which is a [section](super::fork): no other thread has one when the process
//! is forked. And with what ThreadSanitizer does not see of them said once more.
//!
//! It learns what happens before what from the atomic operations that it has instrumented. Those in
//! the slow paths of the standard library are not among them, because the library comes compiled:
//! where a lock was waited for, it looks as if it had never been taken. So here whoever unlocks
//! stores to an atomic of ours before, and whoever has locked loads it after.
//!
//! They count how many of them each thread [holds](super::held). Nothing is allocated, freed or called while a lock of
//! ours is held: an allocator, like everything that a program hands us, may ask for a trace, and would wait for its own
//! thread. Tests check that by the count.
//!
//! A panic does not poison them: what they protect is whole between any two statements.

use std::ops::{Deref, DerefMut};
#[cfg(tasktrace_tsan)]
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{self as real, LockResult, PoisonError, TryLockError, TryLockResult};
use std::time::Duration;

use super::fork::Section;
use super::inside::Held;

/// Written with `Release` before each unlocking and read with `Acquire` after each locking.
#[derive(Debug)]
struct Edge(#[cfg(tasktrace_tsan)] AtomicU8);

impl Edge {
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
    mutex: real::Mutex<T>,
    edge: Edge,
}

pub(crate) struct MutexGuard<'a, T> {
    /// `None` when it is being waited with.
    guard: Option<real::MutexGuard<'a, T>>,
    edge: &'a Edge,
    /// Ends after it has been unlocked.
    section: Option<Section>,
    /// Dropped after that.
    _held: Held,
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
            edge: Edge::new(),
        }
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let section = Section::enter();
        let guard = self.mutex.lock();
        let guard = guard.unwrap_or_else(PoisonError::into_inner);
        Ok(self.edge.locked(guard, section))
    }

    pub(crate) fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        let section = Section::enter();
        match self.mutex.try_lock() {
            Ok(guard) => Ok(self.edge.locked(guard, section)),
            Err(TryLockError::Poisoned(error)) => Ok(self.edge.locked(error.into_inner(), section)),
            Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
        }
    }
}

impl Edge {
    fn locked<'a, T>(
        &'a self,
        guard: real::MutexGuard<'a, T>,
        section: Section,
    ) -> MutexGuard<'a, T> {
        self.after_locking();
        MutexGuard {
            guard: Some(guard),
            edge: self,
            section: Some(section),
            _held: Held::new(),
        }
    }
}

impl<'a, T> MutexGuard<'a, T> {
    /// What is about to be unlocked.
    fn take(&mut self) -> Option<real::MutexGuard<'a, T>> {
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

/// A condition variable. A waiting thread is in no section. After it was notified it holds the lock for a moment before
/// it enters its section again.
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
        drop(guard);
        let locked = self.0.wait(locked);
        let locked = locked.unwrap_or_else(PoisonError::into_inner);
        Ok(edge.locked(locked, Section::enter()))
    }

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, real::WaitTimeoutResult)> {
        let edge = guard.edge;
        let locked = guard.take().expect("it is locked");
        drop(guard);
        let waited = self.0.wait_timeout(locked, timeout);
        let (locked, result) = waited.unwrap_or_else(PoisonError::into_inner);
        Ok((edge.locked(locked, Section::enter()), result))
    }
}

#[cfg(all(test, not(tasktrace_loom)))]
mod tests {
    use super::*;
    use crate::sync::{held, is_inside};

    #[test]
    fn locks_are_counted_while_they_are_held() {
        let (one, other, changed) = (Mutex::new(1), Mutex::new(2), Condvar::new());
        let unpoison = |guard: LockResult<_>| guard.unwrap_or_else(PoisonError::into_inner);
        let first = unpoison(one.lock());
        assert_eq!((held(), is_inside()), (1, true));
        let second = other.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(*first + *second, 3);
        assert_eq!(held(), 2);
        drop(second);
        let waited = changed.wait_timeout(first, Duration::ZERO);
        let (first, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert_eq!(held(), 1);
        drop(first);
        assert_eq!((held(), is_inside()), (0, false));
    }
}
