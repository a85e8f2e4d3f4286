//! Shows a futurelock: a task waits for a lock that it holds itself, in a future that it has stopped
//! polling.
//!
//! `select!` polls `&mut fetch` until the other branch is ready. `fetch` has the lock by then. The
//! other branch's handler waits for that lock, and meanwhile nothing polls `fetch`, so the lock is never
//! released.

use std::sync::Arc;
use std::time::Duration;

use tasktrace::traced;
use tokio::sync::Mutex;
use tokio::time::sleep;

#[tasktrace::main(flavor = "current_thread")]
async fn main() {
    let worker = tokio::spawn(work(Arc::new(Mutex::new(()))));
    sleep(Duration::from_secs(2)).await;

    println!("{}", tasktrace::dump().await);
    worker.abort();
}

#[traced]
async fn work(lock: Arc<Mutex<()>>) {
    let mut fetch = std::pin::pin!(fetch(lock.clone()));
    tokio::select! {
        () = &mut fetch => {}
        () = sleep(Duration::from_millis(100)) => {
            // The task hangs here, because `fetch` has the lock.
            store(lock.clone()).await;
        }
    }
}

#[traced]
async fn fetch(lock: Arc<Mutex<()>>) {
    let _guard = lock.lock().await;
    sleep(Duration::from_millis(200)).await;
}

#[traced]
async fn store(lock: Arc<Mutex<()>>) {
    let _guard = lock.lock().await;
}
