//! A program with tasks that wait, block and hang in all ways, and a server with the page about them, for
//! `tests/browser/`.
//!
//! Its first argument is `varied` or a number of tasks. With `default-port` as its second argument it listens on that
//! port. When all tasks are in their final state it prints the address of the page, or `taken` if another program has
//! the port. Then it executes each line of its input as a command, and ends when the input ends.

mod many;
mod varied;

use std::io::{BufRead, ErrorKind, stdin};
use std::thread;
use std::time::{Duration, Instant};

use tasktrace::Dump;
use tasktrace::http::{BindError, DEFAULT_PORT};
use tasktrace_tests::multi_thread;

/// A timeout that is long enough for the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    let kind = std::env::args().nth(1).unwrap_or_else(|| "varied".into());
    let runtime = multi_thread();
    let commands = match kind.parse() {
        Ok(tasks) => {
            many::start(&runtime, tasks);
            None
        }
        Err(_) => Some(varied::start(&runtime)),
    };
    // As in a program with `#[tokio::main]`, the page counts untraced tasks of this runtime.
    let _entered = runtime.enter();
    let is_default = std::env::args().nth(2).as_deref() == Some("default-port");
    let port = if is_default { DEFAULT_PORT } else { 0 };
    let server = match tasktrace::http::serve(("127.0.0.1", port)) {
        Ok(server) => server,
        Err(BindError::Refused(error)) if is_default && error.kind() == ErrorKind::AddrInUse => {
            println!("taken");
            std::process::exit(0);
        }
        Err(error) => panic!("{error}"),
    };
    println!("http://{}/", server.local_addr());
    for line in stdin().lock().lines() {
        match (line.as_deref(), &commands) {
            // One task ends, and another starts.
            (Ok("next"), Some(commands)) => commands.next(),
            (Ok(_), _) => {}
            (Err(_), _) => break,
        }
    }
    // Some threads are blocked for ever.
    std::process::exit(0);
}

/// Waits until the tasks are in their final state, so that no test sees an earlier one.
///
/// # Panics
///
/// If they do not reach it in time. The message has a dump.
fn wait_until(is_final: impl Fn(&Dump) -> bool) {
    let start = Instant::now();
    loop {
        let dump = tasktrace::snapshot();
        if is_final(&dump) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "not there yet:\n{dump}");
        // Leaves the processors to the tasks.
        thread::sleep(Duration::from_millis(5));
    }
}
