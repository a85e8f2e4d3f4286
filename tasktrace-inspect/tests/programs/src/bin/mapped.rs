//! Guards of tokio that are mapped to a part of what is locked, and own a reference to their lock.

use std::future::pending;
use std::sync::Arc;

use tasktrace_inspect_programs::{arrive, ready};
use tokio::sync::{
    Mutex, OwnedMappedMutexGuard, OwnedMutexGuard, OwnedRwLockMappedWriteGuard,
    OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock,
};

/// A lock in a lock.
type Nested = Arc<Mutex<(u8, Mutex<u64>)>>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let nested = Nested::default();
    let outer = Arc::clone(&nested).lock_owned().await;
    tokio::spawn(maps(OwnedMutexGuard::map(outer, |it| &mut it.1)));
    tokio::spawn(waits_for_outer(nested));
    let read = Arc::new(RwLock::new((0_u8, Mutex::new(0))));
    let guard = OwnedRwLockReadGuard::map(Arc::clone(&read).read_owned().await, |it| &it.1);
    tokio::spawn(maps_read(guard));
    tokio::spawn(waits_to_write(read));
    let written = Arc::new(RwLock::new((0_u8, Mutex::new(0))));
    let guard = Arc::clone(&written).write_owned().await;
    tokio::spawn(maps_write(OwnedRwLockWriteGuard::map(guard, |it| {
        &mut it.1
    })));
    tokio::spawn(waits_to_read(written));
    ready(6).await;
    pending::<()>().await;
}

/// It has the outer lock, and waits for the inner one, which has no guard.
async fn maps(inner: OwnedMappedMutexGuard<(u8, Mutex<u64>), Mutex<u64>>) {
    if let Ok(guard) = inner.try_lock() {
        std::mem::forget(guard);
    }
    arrive();
    *inner.lock().await += 1; // await: maps
}

async fn waits_for_outer(lock: Nested) {
    arrive();
    let outer = lock.lock().await; // await: waits_for_outer
    drop(outer);
}

async fn maps_read(inner: OwnedRwLockReadGuard<(u8, Mutex<u64>), Mutex<u64>>) {
    arrive();
    pending::<()>().await; // await: maps_read
    drop(inner);
}

async fn waits_to_write(lock: Arc<RwLock<(u8, Mutex<u64>)>>) {
    arrive();
    let guard = lock.write().await; // await: waits_to_write
    drop(guard);
}

async fn maps_write(inner: OwnedRwLockMappedWriteGuard<(u8, Mutex<u64>), Mutex<u64>>) {
    arrive();
    pending::<()>().await; // await: maps_write
    drop(inner);
}

async fn waits_to_read(lock: Arc<RwLock<(u8, Mutex<u64>)>>) {
    arrive();
    let guard = lock.read().await; // await: waits_to_read
    drop(guard);
}
