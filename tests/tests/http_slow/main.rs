//! Tests slow and malicious clients. The tests are slow themselves, and so are the requests, so they have a process of
//! their own.

mod crowds;
mod readers;
mod writers;

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tasktrace::http::{Builder, Server};
use tasktrace_tests::http::get;

/// Waits until no other test runs: the request of one test would delay those of another.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a server on a free port, and returns it and its address.
#[track_caller]
fn serve(builder: Builder) -> (Server, SocketAddr) {
    let server = builder.bind("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    (server, address)
}

/// Asserts that other clients are served meanwhile.
#[track_caller]
fn assert_is_served(address: SocketAddr) {
    let answer = get(address, "/dump.txt?capture=0");
    assert_eq!(answer.status, 200);
}
