//! All tasks on one thread.

use tasktrace_inspect_programs::{leaves, locks, ready, wrappers};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let _kept = leaves::spawn();
    wrappers::spawn();
    locks::spawn().await;
    ready(leaves::TASKS + wrappers::TASKS + locks::TASKS).await;
    std::future::pending::<()>().await; // await: main
}
