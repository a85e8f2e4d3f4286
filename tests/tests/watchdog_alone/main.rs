//! Tests one watchdog in the process: which tasks it wakes, and what it counts and keeps. One test runs at a time.

mod overdue;
mod reuse;
#[path = "../watchdog/support.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod support;
mod wakes;

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Returns a lock that each test holds.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    capture_first();
    alone
}

/// Takes a first capture. It reads the unwind tables, which takes longer than the watchdog waits for an answer.
fn capture_first() {
    let mut cx = Context::from_waker(Waker::noop());
    let (future, handle) = tasktrace::traced(std::future::pending::<()>());
    let mut future = std::pin::pin!(future);
    let mut request = std::pin::pin!(handle.backtrace());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    assert!(request.as_mut().poll(&mut cx).is_pending());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    assert!(request.as_mut().poll(&mut cx).is_ready());
}
