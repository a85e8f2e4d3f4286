//! Clients that do not read what they have asked for.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use tasktrace::http;
use tasktrace_tests::http::{PATIENCE, connect, get};

use crate::{alone, is_served};

/// More than what the system keeps for a connection.
const TASKS: usize = 25_000;

const TIMEOUT: Duration = Duration::from_secs(1);

#[test]
fn they_are_cut_off_and_hold_nothing() {
    let _alone = alone();
    // As JSON, each is some hundred bytes.
    let tasks: Vec<_> = (0..TASKS).map(|_| tasktrace::traced(async {})).collect();
    let builder = http::builder().write_timeout(TIMEOUT);
    let server = builder.bind("127.0.0.1:0").unwrap();
    let address = server.local_addr();
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
    is_served(address);
    for stream in &mut streams {
        // Until there is something to be read, which is not read.
        stream.peek(&mut [0]).unwrap();
    }
    // Long after all have been given up, there is what was sent before.
    let asked = Instant::now();
    while asked.elapsed() < 5 * TIMEOUT {
        is_served(address);
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
    // There is room for others.
    let again = get(address, "/dump.json?capture=0");
    assert!(again.body.len() > length / 2, "{}", again.body.len());
    assert!(begun.elapsed() < 2 * PATIENCE);
    drop(tasks);
}
