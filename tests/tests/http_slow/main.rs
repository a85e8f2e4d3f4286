//! Clients that take their time, or mean harm. They are slow, and so is what they ask for, so these
//! tests have a process of their own.

mod crowds;
mod readers;
mod writers;

use std::net::SocketAddr;

use tasktrace_tests::http::get;

/// Others are served meanwhile.
#[track_caller]
fn is_served(address: SocketAddr) {
    let answer = get(address, "/dump.txt?capture=0");
    assert_eq!(answer.status, 200);
}
