//! Clients that take their time, or mean harm. They are slow, and so is what they ask for, so these
//! tests have a process of their own.

mod crowds;
mod readers;
mod writers;

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tasktrace_tests::http::get;

/// One at a time: what one asks for, another would have to wait for.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Others are served meanwhile.
#[track_caller]
fn is_served(address: SocketAddr) {
    let answer = get(address, "/dump.txt?capture=0");
    assert_eq!(answer.status, 200);
}
