//! Locks of async-lock.
//!
//! An `RwLock` has a mutex, which writers and upgradable readers take, and a number of readers. A writer takes the mutex,
//! sets a bit that keeps new readers out, and waits until the number of readers is zero. So an `RwLock` is two locks:
//! readers wait for who has the mutex, and who has the mutex waits for readers.

use super::walk::Walk;
use crate::address::Address;
use crate::report::HeldKind;
use crate::value::Value;

/// The paths of the types that keep the state of a lock.
const MUTEX: &str = "async_lock::mutex::Mutex";
const RW_LOCK: &str = "async_lock::rwlock::raw::RawRwLock";
const SEMAPHORE: &str = "async_lock::semaphore::Semaphore";

/// The bit in the state of a mutex that is set while it is locked, and in that of an `RwLock` while a writer has it or
/// waits for the readers.
const LOCKED: u64 = 1;

/// The kind of a future that waits for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AsyncWait {
    Mutex,
    Semaphore,
    Read,
    UpgradableRead,
    Write,
    Upgrade,
}

/// A lock, a semaphore, or one of the two parts of an `RwLock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    /// The address that waiters and holders know it by.
    pub(super) address: Address,
    /// The beginning of the whole lock.
    pub(super) start: Address,
    /// The number of free permits, where a lock has one permit.
    pub(super) free: u64,
    /// Somebody waits for it, or has waited.
    pub(super) is_waited_for: bool,
}

impl Walk<'_, '_, '_, '_> {
    /// Returns what a future waits for.
    pub(super) fn awaited_lock(&self, future: Value, wait: AsyncWait) -> Option<Lock> {
        match wait {
            AsyncWait::Mutex => {
                let inner = self.active(self.reader().find(future, "inner")?)?;
                let mutex = self.pointed_at(self.reader().find(inner, "mutex")?)?;
                self.mutex(mutex, mutex.address)
            }
            AsyncWait::Semaphore => {
                let semaphore = self.reader().find(future, "semaphore")?;
                self.permits(self.pointed_at(semaphore)?)
            }
            AsyncWait::Read => {
                let lock = self.awaited_rw_lock(future)?;
                let writer = self.writer(lock)?;
                let state = self.number(lock, "state")?;
                Some(Lock {
                    free: u64::from(state & LOCKED == 0),
                    ..writer
                })
            }
            AsyncWait::Write if self.waits_for_readers(future)? => {
                self.readers(self.awaited_rw_lock(future)?)
            }
            AsyncWait::Write | AsyncWait::UpgradableRead => {
                self.writer(self.awaited_rw_lock(future)?)
            }
            AsyncWait::Upgrade => self.readers(self.awaited_rw_lock(future)?),
        }
    }

    /// Returns the lock that a future holds while it waits for readers.
    pub(super) fn lock_of_waiting_writer(&self, future: Value, wait: AsyncWait) -> Option<Lock> {
        let has_mutex = match wait {
            AsyncWait::Write => self.waits_for_readers(future)?,
            AsyncWait::Upgrade => true,
            _ => false,
        };
        self.writer(self.awaited_rw_lock(future).filter(|_| has_mutex)?)
    }

    /// Returns the lock that a guard of async-lock with this path is of.
    pub(super) fn lock_of_async_guard(
        &self,
        guard: Value,
        path: &str,
        kind: HeldKind,
    ) -> Option<Lock> {
        let reader = self.reader();
        let field = reader.find(guard, "lock");
        let field = field.or_else(|| reader.find(guard, "__0"))?;
        match kind {
            HeldKind::Mutex => {
                let mutex = self.pointed_at(field)?;
                self.mutex(mutex, mutex.address)
            }
            HeldKind::Permit => self.permits(self.pointed_at(field)?),
            _ => {
                let lock = match path.ends_with("::RwLockReadGuardArc") {
                    // It has a pointer to the `RwLock`, which begins with its state, as a pointer to the value.
                    true => Value {
                        address: reader.pointer(reader.find_pointer(field)?)?,
                        id: reader.types.index().async_rw_lock?,
                    },
                    false => reader.find_type(self.pointed_at(field)?, RW_LOCK)?,
                };
                match kind {
                    HeldKind::Read => self.readers(lock),
                    _ => self.writer(lock),
                }
            }
        }
    }

    /// Returns the `RwLock` that a future waits for.
    fn awaited_rw_lock(&self, future: Value) -> Option<Value> {
        let reader = self.reader();
        let raw = reader.find(future, "raw")?;
        let lock = self.pointed_at(reader.find(raw, "lock")?)?;
        self.is(lock, RW_LOCK).then_some(lock)
    }

    /// Returns `true` if a writer has the mutex, and waits for readers.
    fn waits_for_readers(&self, write: Value) -> Option<bool> {
        let reader = self.reader();
        let raw = reader.find(write, "raw")?;
        let state = reader.find(raw, "state")?;
        let ty = reader.ty(state)?;
        let (variant, _) = reader.variant(state, &ty)?;
        let variant = reader.types.get(variant.member.id)?;
        Some(variant.name == "WaitingReaders")
    }

    fn mutex(&self, mutex: Value, start: Address) -> Option<Lock> {
        if !self.is(mutex, MUTEX) {
            return None;
        }
        Some(Lock {
            address: mutex.address,
            start,
            free: u64::from(self.number(mutex, "state")? & LOCKED == 0),
            // The first waiter allocates it, and it is freed with the mutex.
            is_waited_for: self.number(mutex, "lock_ops")? != 0,
        })
    }

    fn permits(&self, semaphore: Value) -> Option<Lock> {
        if !self.is(semaphore, SEMAPHORE) {
            return None;
        }
        Some(Lock {
            address: semaphore.address,
            start: semaphore.address,
            free: self.number(semaphore, "count")?,
            is_waited_for: self.number(semaphore, "event")? != 0,
        })
    }

    /// Returns the part of an `RwLock` that writers and upgradable readers take.
    fn writer(&self, lock: Value) -> Option<Lock> {
        self.mutex(self.reader().find(lock, "mutex")?, lock.address)
    }

    /// Returns the part of an `RwLock` that readers take. It is free if there are no readers.
    fn readers(&self, lock: Value) -> Option<Lock> {
        let state = self.reader().find(lock, "state")?;
        Some(Lock {
            address: state.address,
            start: lock.address,
            free: u64::from(self.reader().number(state)? & !LOCKED == 0),
            is_waited_for: self.number(lock, "no_readers")? != 0,
        })
    }

    pub(super) fn is(&self, value: Value, path: &str) -> bool {
        &*self.reader().types.path(value.id) == path
    }

    pub(super) fn number(&self, value: Value, name: &'static str) -> Option<u64> {
        let reader = self.reader();
        reader.number(reader.find(value, name)?)
    }

    /// Returns the variant that an enum is. Other values stay what they are.
    pub(super) fn active(&self, value: Value) -> Option<Value> {
        let reader = self.reader();
        let ty = reader.ty(value)?;
        match ty.structure().is_some_and(|it| it.variants.is_some()) {
            true => reader.variant(value, &ty).map(|(_, fields)| fields),
            false => Some(value),
        }
    }

    /// Returns what a reference, an `Arc`, or an `Option` of one points to.
    pub(super) fn pointed_at(&self, field: Value) -> Option<Value> {
        self.reader().follow_arc(self.active(field)?)
    }
}
