//! Tests clients that do not read the answer to their request.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use tasktrace::http;
use tasktrace_tests::http::{PATIENCE, connect, get};

use crate::{alone, assert_is_served, serve};

/// The number of tasks whose dump is longer than the system's buffers of a connection.
const TASKS: usize = 25_000;

const TIMEOUT: Duration = Duration::from_secs(1);

#[test]
fn clients_that_do_not_read_are_disconnected_and_hold_no_memory() {
    let _alone = alone();
    // As JSON, each task takes some hundred bytes.
    let tasks: Vec<_> = (0..TASKS).map(|_| tasktrace::traced(async {})).collect();
    let (_server, address) = serve(http::builder().write_timeout(TIMEOUT));
    let length = get(address, "/dump.json?capture=0").body.len();
    assert!(length > 10 << 20, "{length}");

    let request = b"GET /dump.json?capture=0 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let begun = Instant::now();
    let mut streams: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = connect(address);
            stream.write_all(request).unwrap();
            stream
        })
        .collect();
    assert_is_served(address);
    for stream in &mut streams {
        // Waits until there is something to be read, and does not read it.
        stream.peek(&mut [0]).unwrap();
    }
    // Long after the server has given up all of them, the clients still find the beginning that was sent before.
    let asked = Instant::now();
    while asked.elapsed() < 5 * TIMEOUT {
        assert_is_served(address);
    }
    for mut stream in streams {
        let mut read = Vec::new();
        let _ = stream.read_to_end(&mut read);
        assert!(
            read.starts_with(b"HTTP/1.1 200") && read.len() < length,
            "{}",
            read.len()
        );
    }
    // The server has room for other clients.
    let again = get(address, "/dump.json?capture=0");
    assert!(again.body.len() > length / 2, "{}", again.body.len());
    assert!(begun.elapsed() < 2 * PATIENCE);
    drop(tasks);
}
