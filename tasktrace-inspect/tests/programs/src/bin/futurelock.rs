//! A task that waits for a lock which was handed to a future of its own that it does not poll any more.

use std::sync::Arc;
use std::time::Duration;

use tasktrace_inspect_programs::{arrive, ready};
use tokio::sync::{Mutex, Notify};

type Lock = Arc<Mutex<u64>>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let lock = Lock::default();
    let guard = Arc::clone(&lock).lock_owned().await;
    let both = Arc::new(Notify::new());
    tokio::spawn(stuck(Arc::clone(&lock), Arc::clone(&both)));
    both.notified().await;
    drop(guard);
    ready(1).await;
    std::future::pending::<()>().await;
}

async fn stuck(lock: Lock, both: Arc<Notify>) {
    let mut first = Box::pin(add("first", &lock));
    tokio::select! {
        () = &mut first => {}
        () = tokio::time::sleep(Duration::from_millis(1)) => {
            both.notify_one();
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            arrive();
            add("second", &lock).await;
        }
    }
}

async fn add(name: &str, lock: &Lock) {
    let mut count = lock.lock().await; // await: add
    *count += name.len() as u64;
}
