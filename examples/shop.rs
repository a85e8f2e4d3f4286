//! Shows which task awaits which: `main` awaits its sessions, each session awaits its order, and all orders
//! wait for a lock that `main` forgot it holds.

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
    // This task is not traced, so the dump counts it and does not show it.
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

/// Prints a dump when the tasks have had time to get stuck.
fn watch(runtime: tokio::runtime::Handle) {
    thread::spawn(move || {
        // The dump counts the untraced tasks of this runtime.
        let _inside = runtime.enter();
        thread::sleep(Duration::from_millis(500));
        let dump = tasktrace::dump_blocking(Duration::from_secs(2));
        println!("{dump}\n\n{}", dump.by_awaiter());
        std::process::exit(0);
    });
}
