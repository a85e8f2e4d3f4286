//! Tasks that wait in all ways that the tests of `tasktrace-inspect` look at.
//!
//! A comment `await: NAME` marks the line at which the tests expect the function to wait, `next line, await: NAME` the
//! line after it.

pub mod leaves;
pub mod locks;
pub mod wrappers;

use std::future::pending;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use smol::lock::Mutex;

/// The number of tasks that have come to where they wait.
static ARRIVED: AtomicUsize = AtomicUsize::new(0);

/// Called by each task in the poll in which it begins to wait.
pub fn arrive() {
    ARRIVED.fetch_add(1, Ordering::SeqCst);
}

/// Prints `ready` when so many tasks have arrived.
pub async fn ready(tasks: usize) {
    while ARRIVED.load(Ordering::SeqCst) < tasks {
        tokio::task::yield_now().await;
    }
    // A task that waits for another is polled once more after that one.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let mut out = io::stdout();
    if writeln!(out, "ready").and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}

/// The program of the same name has a function of the same name.
pub async fn same_name() {
    in_library().await; // await: same_name of the library
}

async fn in_library() {
    pending::<()>().await;
}

/// The program of the same name has another type with a method of the same name.
pub struct Stock;

impl Stock {
    /// Holds the lock for ever.
    pub async fn restock(count: Arc<Mutex<u64>>) {
        let mut count = count.lock().await;
        pending::<()>().await; // await: Stock::restock
        *count += 1;
    }
}
