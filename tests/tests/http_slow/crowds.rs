//! Very many clients.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tasktrace::http;
use tasktrace_tests::http::{PATIENCE, connect};

use crate::{alone, is_served};

const CLIENTS: usize = 1000;
const CONNECTIONS: usize = 64;

/// As many files as the system lets us have.
fn allow_files() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: it is valid for writes, and afterwards for reads.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = limit.rlim_max.min(4096);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
}

/// Whether the other end has closed it.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// They hold their connections, and keep nobody out.
#[test]
fn a_thousand_that_say_nothing() {
    let _alone = alone();
    allow_files();
    let builder = http::builder()
        .max_connections(CONNECTIONS)
        .read_timeout(Duration::from_secs(600));
    let server = builder.bind("127.0.0.1:0").unwrap();
    let address = server.local_addr();
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = connect(address);
        let _ = client.write_all(b"GET /dump.txt HTTP/1.1\r\n");
        client.set_nonblocking(true).unwrap();
        clients.push(client);
        if number % 250 == 0 {
            is_served(address);
        }
    }
    is_served(address);
    let begun = Instant::now();
    let mut open = CLIENTS;
    // That one of them is closed is known a moment later.
    while open > CONNECTIONS {
        assert!(begun.elapsed() < PATIENCE, "{open} are open");
        open = clients
            .iter_mut()
            .filter_map(|it| (!is_closed(it)).then_some(()))
            .count();
    }
}
