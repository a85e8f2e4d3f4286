//! The watchdog, where it matters that there is one only: what is woken, what is counted and what is
//! kept. One test at a time.

mod overdue;
mod reuse;
#[path = "../watchdog/support.rs"]
#[allow(dead_code, reason = "some of it is for the other tests")]
mod support;
mod wakes;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// To be held by each test.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}
