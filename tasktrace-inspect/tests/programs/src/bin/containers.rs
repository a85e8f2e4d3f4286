//! Tasks whose guards are in containers, each with a task that waits for the lock, and tasks that wait for a notification.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tasktrace_inspect_programs::{arrive, ready};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};

type Lock = Arc<Mutex<u64>>;
type Guard = OwnedMutexGuard<u64>;

/// A guard with its name.
struct Named {
    name: &'static str,
    guard: Guard,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    pair(in_vec).await;
    pair(in_ring).await;
    pair(in_arc).await;
    let shared = Arc::new(std::sync::Mutex::new(None));
    pair(|lock, held| in_shared(lock, held, Arc::clone(&shared))).await;
    let notify = Arc::new(Notify::new());
    for _ in 0..3 {
        tokio::spawn(listener(Arc::clone(&notify)));
    }
    ready(8 + 3).await;
    std::future::pending::<()>().await;
    drop(shared);
}

/// Starts a task that puts the guard of a new lock into a container, and a task that waits for the lock.
async fn pair<F: Future<Output = ()> + Send + 'static>(hold: impl FnOnce(Lock, Arc<Notify>) -> F) {
    let (lock, held) = (Lock::default(), Arc::new(Notify::new()));
    tokio::spawn(hold(Arc::clone(&lock), Arc::clone(&held)));
    held.notified().await;
    tokio::spawn(waiter(lock));
}

async fn waiter(lock: Lock) {
    arrive();
    *lock.lock().await += 1;
}

async fn nap(held: Arc<Notify>) {
    arrive();
    held.notify_one();
    tokio::time::sleep(Duration::from_secs(3600)).await;
}

async fn in_vec(lock: Lock, held: Arc<Notify>) {
    let all = vec![Named {
        name: "first",
        guard: lock.lock_owned().await,
    }];
    nap(held).await; // await: in_vec
    for named in all {
        println!("{} {}", named.name, *named.guard);
    }
}

/// The first element of the ring is at the end of its memory, and the guard is at the start.
async fn in_ring(lock: Lock, held: Arc<Notify>) {
    let mut ring = VecDeque::with_capacity(4);
    for _ in 0..4 {
        ring.push_back(None);
    }
    ring.rotate_left(3);
    ring.truncate(1);
    ring.push_back(Some(lock.lock_owned().await));
    nap(held).await; // await: in_ring
    drop(ring);
}

async fn in_arc(lock: Lock, held: Arc<Notify>) {
    let guard = Arc::new(lock.lock_owned().await);
    nap(held).await; // await: in_arc
    drop(guard);
}

/// Another owner has the guard too, so this task is not the one that holds it.
async fn in_shared(
    lock: Lock,
    held: Arc<Notify>,
    shared: Arc<std::sync::Mutex<Option<Arc<Guard>>>>,
) {
    let guard = Arc::new(lock.lock_owned().await);
    if let Ok(mut shared) = shared.lock() {
        *shared = Some(Arc::clone(&guard));
    }
    nap(held).await; // await: in_shared
    drop(guard);
}

async fn listener(notify: Arc<Notify>) {
    arrive();
    notify.notified().await; // await: listener
}
