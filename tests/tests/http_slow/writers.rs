//! Tests clients that do not complete their request.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use tasktrace::http;
use tasktrace_tests::http::{PATIENCE, connect};

use crate::{alone, assert_is_served, serve};

const TIMEOUT: Duration = Duration::from_millis(300);

/// The clients stop before their request, in the middle of it, and between two requests.
#[test]
fn silent_clients_are_disconnected() {
    let _alone = alone();
    let (_server, address) = serve(http::builder().read_timeout(TIMEOUT));
    for sent in [
        "",
        "GET /dump.txt HTTP/1.1\r\nHost: local",
        "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let begun = Instant::now();
        let mut stream = connect(address);
        stream.write_all(sent.as_bytes()).unwrap();
        assert_is_served(address);
        // The read ends when the server closes the connection.
        let _ = stream.read_to_end(&mut Vec::new());
        let took = begun.elapsed();
        assert!(took >= TIMEOUT && took < PATIENCE / 2, "{sent:?}: {took:?}");
    }
}

/// The client sends a byte now and then.
#[test]
fn slow_clients_are_disconnected() {
    let _alone = alone();
    let (_server, address) = serve(http::builder().read_timeout(TIMEOUT));
    let mut stream = connect(address);
    let begun = Instant::now();
    while stream.write_all(b"G").is_ok() {
        assert!(begun.elapsed() < PATIENCE / 2, "it goes on and on");
        std::thread::sleep(TIMEOUT / 10);
    }
}

#[test]
fn too_long_request_heads_are_refused() {
    let _alone = alone();
    let (_server, address) = serve(http::builder());
    let mut stream = connect(address);
    let line = format!("GET /{} HTTP/1.1\r\n", "x".repeat(1 << 20));
    // The server may close the connection before the whole line is written.
    let _ = stream.write_all(line.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
        "{answer}"
    );
    assert_is_served(address);
}
