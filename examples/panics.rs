//! Shows a panic with its async stack, before the usual message.

use tasktrace::traced;
use tokio::task::yield_now;

#[tasktrace::main(flavor = "current_thread")]
async fn main() {
    tasktrace::panic_hook();
    tokio::spawn(session("ann")).await.unwrap_err();
}

#[traced("{name}")]
async fn session(name: &str) {
    yield_now().await;
    order(0).await;
}

async fn order(count: u32) {
    assert!(count > 0, "an order of nothing");
}
