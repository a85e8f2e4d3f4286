//! Runs a program that other processes attach to because of its attribute, for the tests of the command line.
//!
//! The program prints `ready`, and exits when its standard input ends.

use std::io::Read;

#[tasktrace::main(attach, flavor = "current_thread")]
async fn main() {
    tokio::task::yield_now().await;
    println!("ready");
    // Blocks its only thread in a poll of its only task.
    let _ = std::io::stdin().read(&mut [0]);
}
