//! Tests dumps of very many tasks, and of tasks with very many frames: their work grows linearly, keeps to its budget,
//! and leaves nothing behind.

mod allocations;
mod budgets;
mod growth;
mod measure;
#[cfg(all(feature = "http", target_os = "linux"))]
mod memory;
mod shapes;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits until no other test runs: a dump shows all tasks of the process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
