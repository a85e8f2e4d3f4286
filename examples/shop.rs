//! Who waits for whom: `main` waits for its sessions, each session for its order, and all orders
//! for a lock that `main` forgot it holds.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tasktrace::{JoinSet, traced};
use tokio::sync::Mutex;

type Stock = Arc<Mutex<u32>>;

#[tasktrace::main(flavor = "current_thread")]
async fn main() {
    watch(tokio::runtime::Handle::current());
    let stock = Stock::default();
    let _forgotten = stock.lock().await;
    // Not one of ours, so it is counted and not shown.
    tokio::spawn(std::future::pending::<()>());

    let mut sessions = JoinSet::new();
    for customer in ["ann", "bob", "eve"] {
        let session = session(Arc::clone(&stock));
        sessions.build_task().name(customer).spawn(session);
    }
    while sessions.join_next().await.is_some() {}
}

#[traced]
async fn session(stock: Stock) {
    let order = tasktrace::spawn(order(stock));
    order.await.unwrap();
}

#[traced]
async fn order(stock: Stock) {
    *stock.lock().await -= 1;
}

/// Prints where everything is when it has had time to get stuck.
fn watch(runtime: tokio::runtime::Handle) {
    thread::spawn(move || {
        // It is this runtime whose tasks are counted.
        let _inside = runtime.enter();
        thread::sleep(Duration::from_millis(500));
        let dump = tasktrace::dump_blocking(Duration::from_secs(2));
        println!("{dump}\n\n{}", dump.by_awaiter());
        std::process::exit(0);
    });
}
