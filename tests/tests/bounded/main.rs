//! Tests that requests and dumps keep their budgets, whatever wakers, executors and durations do.
//!
//! These tests dump every task of the process, so they are apart from the tests that count the polls of one task.

mod blocked;
mod embassy;
mod extremes;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits for the tests whose tasks would delay the dumps of this test, until the guard is dropped.
///
/// Some tests block a few of the threads that call wakers. Others have tasks with wakers of embassy: the first request
/// for such a task reads debug information, which takes a second in a debug build, and longer on a busy machine.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}
