//! A task that is suspended eight hundred functions deep.

use std::future::Future;
use std::pin::Pin;

use tasktrace_inspect_programs::{arrive, ready};

const DEPTH: u64 = 800;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    tokio::spawn(descend(DEPTH));
    ready(1).await;
    std::future::pending::<()>().await;
}

fn descend(depth: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if depth == 1 {
            arrive();
            std::future::pending::<()>().await;
        }
        1 + descend(depth - 1).await
    })
}
