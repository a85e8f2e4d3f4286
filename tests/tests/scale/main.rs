//! Very many tasks, and tasks of very many frames: what is done for a dump of them grows as they do,
//! keeps to its budget, and leaves nothing behind.

mod allocations;
mod budgets;
mod growth;
mod measure;
#[cfg(all(feature = "http", target_os = "linux"))]
mod memory;
mod shapes;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Dumps are of all tasks of the process, so one test runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
