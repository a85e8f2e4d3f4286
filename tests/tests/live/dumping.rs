//! Keeps the dumps of some tests away from the tests that they would disturb.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Held for writing by a test that dumps all tasks, and for reading by a test that a dump would disturb: the dump
/// requests a trace of each task of the process, so it wakes the task, and a poll that answers it is not counted.
static DUMPS: RwLock<()> = RwLock::new(());

/// Keeps the dumps of other tests away until the guard is dropped.
pub(crate) fn without_dumps() -> RwLockReadGuard<'static, ()> {
    DUMPS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for the tests that a dump would disturb. A test holds the guard while it dumps all tasks.
pub(crate) fn while_dumping() -> RwLockWriteGuard<'static, ()> {
    DUMPS.write().unwrap_or_else(PoisonError::into_inner)
}
