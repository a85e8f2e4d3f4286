//! Tasks that wait for locks which other tasks hold.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, RwLock, Semaphore};

use crate::arrive;

/// The number of tasks that [`spawn`] starts.
pub const TASKS: usize = 11;

type Lock = Arc<Mutex<u64>>;

/// Starts the tasks, some of which come to wait only after others have taken the locks.
pub async fn spawn() {
    let lock = Lock::default();
    tokio::spawn(holder(Arc::clone(&lock)));
    wait_until(|| lock.try_lock().is_err()).await;
    tokio::spawn(waiter(Arc::clone(&lock)));
    tokio::spawn(owned_waiter(lock));

    let table = Arc::new(RwLock::new(String::new()));
    tokio::spawn(reader(Arc::clone(&table)));
    wait_until(|| table.try_write().is_err()).await;
    tokio::spawn(writer(table));

    let semaphore = Arc::new(Semaphore::new(1));
    let permit = Arc::clone(&semaphore).acquire_owned().await;
    tokio::spawn(permit_holder(permit.ok()));
    tokio::spawn(permit_waiter(semaphore));

    // The guard is dropped before the task waits: nobody holds this lock.
    tokio::spawn(dropper(Lock::default(), Arc::default()));
    // Here another task holds it.
    let (lock, dropped) = (Lock::default(), Arc::new(Notify::new()));
    tokio::spawn(dropper(Arc::clone(&lock), Arc::clone(&dropped)));
    dropped.notified().await;
    tokio::spawn(second_holder(Arc::clone(&lock)));
    wait_until(|| lock.try_lock().is_err()).await;
    tokio::spawn(second_waiter(lock));
}

async fn wait_until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

async fn holder(lock: Lock) {
    let mut count = lock.lock().await;
    arrive();
    tokio::time::sleep(Duration::from_secs(3600)).await; // await: holder
    *count += 1;
}

async fn waiter(lock: Lock) {
    arrive();
    let mut count = lock.lock().await; // await: waiter
    *count += 1;
}

async fn owned_waiter(lock: Lock) {
    arrive();
    let mut count = lock.lock_owned().await; // await: owned_waiter
    *count += 1;
}

async fn reader(table: Arc<RwLock<String>>) {
    let text = table.read().await;
    arrive();
    tokio::time::sleep(Duration::from_secs(3600)).await; // await: reader
    drop(text);
}

async fn writer(table: Arc<RwLock<String>>) {
    arrive();
    let mut text = table.write().await; // await: writer
    text.push('!');
}

async fn permit_holder(permit: Option<OwnedSemaphorePermit>) {
    arrive();
    tokio::time::sleep(Duration::from_secs(3600)).await; // await: permit_holder
    drop(permit);
}

async fn permit_waiter(semaphore: Arc<Semaphore>) {
    arrive();
    let permit = semaphore.acquire().await; // await: permit_waiter
    drop(permit);
}

async fn dropper(lock: Lock, dropped: Arc<Notify>) {
    let mut count = lock.lock().await;
    *count += 1;
    drop(count);
    arrive();
    dropped.notify_one();
    tokio::time::sleep(Duration::from_secs(3600)).await; // await: dropper
}

async fn second_holder(lock: Lock) {
    let mut count = lock.lock().await;
    arrive();
    tokio::time::sleep(Duration::from_secs(3600)).await; // await: second_holder
    *count += 1;
}

async fn second_waiter(lock: Lock) {
    arrive();
    let mut count = lock.lock().await; // await: second_waiter
    *count += 1;
}
