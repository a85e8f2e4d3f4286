//! Tests very many clients at once.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tasktrace::http;
use tasktrace_tests::http::{PATIENCE, connect};

use crate::{alone, assert_is_served, serve};

const CLIENTS: usize = 1000;
const CONNECTIONS: usize = 64;

/// Raises the limit of open files as far as the tests need and the system allows.
fn allow_files() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a local, and therefore valid for the write of `getrlimit` and for the read of `setrlimit`.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = limit.rlim_max.min(4096);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
}

/// Returns `true` if the server has closed the connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// The silent clients hold their connections open.
#[test]
fn a_thousand_silent_clients_do_not_lock_others_out() {
    let _alone = alone();
    allow_files();
    let builder = http::builder()
        .max_connections(CONNECTIONS)
        .read_timeout(Duration::from_secs(600));
    let (_server, address) = serve(builder);
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = connect(address);
        let _ = client.write_all(b"GET /dump.txt HTTP/1.1\r\n");
        client.set_nonblocking(true).unwrap();
        clients.push(client);
        if number % 250 == 0 {
            assert_is_served(address);
        }
    }
    assert_is_served(address);
    let begun = Instant::now();
    let mut open = CLIENTS;
    // A client notices only after a moment that its connection is closed.
    while open > CONNECTIONS {
        assert!(begun.elapsed() < PATIENCE, "{open} are open");
        open = clients
            .iter_mut()
            .filter_map(|it| (!is_closed(it)).then_some(()))
            .count();
    }
}
