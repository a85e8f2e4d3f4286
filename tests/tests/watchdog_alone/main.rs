//! The watchdog, where it matters that there is one only: what is woken, what is counted and what is
//! kept. One test at a time.

mod overdue;
mod reuse;
#[path = "../watchdog/support.rs"]
#[allow(dead_code, reason = "some of it is for the other tests")]
mod support;
mod wakes;

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// To be held by each test.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    capture_one();
    alone
}

/// The first capture reads the unwind tables, which takes longer than the watchdog waits for.
fn capture_one() {
    let mut cx = Context::from_waker(Waker::noop());
    let (future, handle) = tasktrace::traced(std::future::pending::<()>());
    let mut future = std::pin::pin!(future);
    let mut request = std::pin::pin!(handle.backtrace());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    assert!(request.as_mut().poll(&mut cx).is_pending());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    assert!(request.as_mut().poll(&mut cx).is_ready());
}
