//! A program with tasks that wait, block and hang in all ways, and the page about them, for
//! `tests/browser/`.
//!
//! Its first argument is `varied` or the number of tasks that it is to have, its second `default-port`
//! if it is to listen there. It prints where the page is when the tasks are as they will stay, or
//! `taken` if another program has that port, does what is on each line of its input, and ends when that
//! does.

mod many;
mod varied;

use std::io::{BufRead, ErrorKind, stdin};
use std::thread;
use std::time::{Duration, Instant};

use tasktrace::Dump;
use tasktrace::http::{BindError, DEFAULT_PORT};
use tasktrace_tests::multi_thread;

/// Longer than it takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    let kind = std::env::args().nth(1).unwrap_or_else(|| "varied".into());
    let runtime = multi_thread();
    let orders = match kind.parse() {
        Ok(tasks) => {
            many::start(&runtime, tasks);
            None
        }
        Err(_) => Some(varied::start(&runtime)),
    };
    // As in a program with `#[tokio::main]`: it is this runtime's tasks that may not be traced.
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
        match (line.as_deref(), &orders) {
            // A task ends, and another begins.
            (Ok("next"), Some(orders)) => orders.next(),
            (Ok(_), _) => {}
            (Err(_), _) => break,
        }
    }
    // Some threads are blocked for good.
    std::process::exit(0);
}

/// Waits until the tasks are as they will stay, so that no test sees them on their way.
///
/// # Panics
///
/// If they do not come there, with where they are instead.
fn wait_until(is_there: impl Fn(&Dump) -> bool) {
    let begun = Instant::now();
    loop {
        let dump = tasktrace::snapshot();
        if is_there(&dump) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "not there yet:\n{dump}");
        // Leaves the processors to the tasks.
        thread::sleep(Duration::from_millis(5));
    }
}
