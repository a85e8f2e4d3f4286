//! A task that waits for a set of tasks, each of which waits for its lock.

use std::sync::Arc;

use tasktrace_inspect_programs::{arrive, ready};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

type Lock = Arc<Mutex<u64>>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    tokio::spawn(parent());
    ready(3).await;
    std::future::pending::<()>().await;
}

async fn parent() {
    let lock = Lock::default();
    let guard = lock.lock().await;
    let mut set = JoinSet::new();
    for _ in 0..2 {
        set.spawn(child(Arc::clone(&lock)));
    }
    arrive();
    set.join_next().await; // await: parent
    drop(guard);
}

async fn child(lock: Lock) {
    arrive();
    *lock.lock().await += 1;
}
