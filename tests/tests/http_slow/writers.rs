//! Clients that do not say what they want.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use tasktrace::http;
use tasktrace_tests::http::{PATIENCE, connect};

use crate::{alone, is_served};

const TIMEOUT: Duration = Duration::from_millis(300);

/// Each is cut off: before it says anything, in the middle, and between two requests.
#[test]
fn they_are_cut_off() {
    let _alone = alone();
    let builder = http::builder().read_timeout(TIMEOUT);
    let server = builder.bind("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    for said in [
        "",
        "GET /dump.txt HTTP/1.1\r\nHost: local",
        "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let begun = Instant::now();
        let mut stream = connect(address);
        stream.write_all(said.as_bytes()).unwrap();
        is_served(address);
        // What comes has an end.
        let _ = stream.read_to_end(&mut Vec::new());
        let took = begun.elapsed();
        assert!(took >= TIMEOUT && took < PATIENCE / 2, "{said:?}: {took:?}");
    }
}

/// A byte now and then is not enough.
#[test]
fn slow_ones_are_cut_off() {
    let _alone = alone();
    let builder = http::builder().read_timeout(TIMEOUT);
    let server = builder.bind("127.0.0.1:0").unwrap();
    let mut stream = connect(server.local_addr());
    let begun = Instant::now();
    while stream.write_all(b"G").is_ok() {
        assert!(begun.elapsed() < PATIENCE / 2, "it goes on and on");
        std::thread::sleep(TIMEOUT / 10);
    }
}

#[test]
fn heads_that_are_too_long() {
    let _alone = alone();
    let server = http::serve("127.0.0.1:0").unwrap();
    let mut stream = connect(server.local_addr());
    let line = format!("GET /{} HTTP/1.1\r\n", "x".repeat(1 << 20));
    // It may be closed before all was written.
    let _ = stream.write_all(line.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
        "{answer}"
    );
    is_served(server.local_addr());
}
