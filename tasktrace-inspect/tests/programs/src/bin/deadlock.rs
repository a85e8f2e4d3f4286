//! Two tasks that take two locks in opposite order.

use std::sync::Arc;

use tasktrace_inspect_programs::{arrive, ready};
use tokio::sync::{Barrier, Mutex};

type Lock = Arc<Mutex<u64>>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (ann, bob) = (Lock::default(), Lock::default());
    let both = Arc::new(Barrier::new(2));
    tokio::spawn(there(Arc::clone(&ann), Arc::clone(&bob), Arc::clone(&both)));
    tokio::spawn(back(bob, ann, both));
    ready(2).await;
    std::future::pending::<()>().await;
}

async fn there(from: Lock, to: Lock, both: Arc<Barrier>) {
    let mut from = from.lock().await;
    both.wait().await;
    arrive();
    let mut to = to.lock().await; // await: there
    *from -= 1;
    *to += 1;
}

async fn back(from: Lock, to: Lock, both: Arc<Barrier>) {
    let mut from = from.lock().await;
    both.wait().await;
    arrive();
    let mut to = to.lock().await; // await: back
    *from -= 1;
    *to += 1;
}
