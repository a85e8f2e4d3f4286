//! A program that others may attach to because its attribute says so, for `tests/cli`.
//!
//! It says `ready`, and ends when its input does.

use std::io::Read;

#[tasktrace::main(attach, flavor = "current_thread")]
async fn main() {
    tokio::task::yield_now().await;
    println!("ready");
    // In the middle of a poll of its only task, on its only thread.
    let _ = std::io::stdin().read(&mut [0]);
}
