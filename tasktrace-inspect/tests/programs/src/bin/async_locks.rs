//! Tasks that wait for locks of async-lock which other tasks hold.

use std::future::pending;
use std::sync::Arc;

use smol::lock::{
    Barrier, Mutex, RwLock, RwLockReadGuardArc, RwLockUpgradableReadGuard, RwLockWriteGuardArc,
    Semaphore,
};
use smol::{LocalExecutor, future};

type Table = Arc<RwLock<u64>>;

async fn holds_to_write(table: Table) {
    let mut count = table.write().await;
    pending::<()>().await; // await: holds_to_write
    *count += 1;
}

async fn waits_to_read(table: Table) {
    let count = table.read().await; // await: waits_to_read
    drop(count);
}

async fn waits_to_write(table: Table) {
    let mut count = table.write().await; // await: waits_to_write
    *count += 1;
}

async fn waits_to_upgradable_read(table: Table) {
    let count = table.upgradable_read_arc().await; // await: waits_to_upgradable_read
    drop(count);
}

async fn reads(table: Table) {
    let count = table.read().await;
    pending::<()>().await; // await: reads
    drop(count);
}

async fn reads_owned(guard: RwLockReadGuardArc<(u64, Mutex<u8>)>) {
    pending::<()>().await; // await: reads_owned
    drop(guard);
}

async fn waits_for_readers(table: Table) {
    let mut count = table.write().await; // await: waits_for_readers
    *count += 1;
}

async fn waits_for_owned_reader(table: Arc<RwLock<(u64, Mutex<u8>)>>) {
    let mut count = table.write_arc().await; // await: waits_for_owned_reader
    count.0 += 1;
}

async fn waits_for_waiting_writer(table: Table) {
    let count = table.read_arc().await; // await: waits_for_waiting_writer
    drop(count);
}

async fn upgrades(table: Table) {
    let count = table.upgradable_read().await;
    std::hint::black_box(&count);
    let mut count = RwLockUpgradableReadGuard::upgrade(count).await; // await: upgrades
    *count += 1;
}

async fn waits_for_upgrade(table: Table) {
    let count = table.upgradable_read().await; // await: waits_for_upgrade
    drop(count);
}

async fn has_permit(semaphore: Arc<Semaphore>) {
    let permit = semaphore.acquire().await;
    pending::<()>().await; // await: has_permit
    drop(permit);
}

async fn has_owned_permit(semaphore: Arc<Semaphore>) {
    let permit = semaphore.acquire_arc().await;
    pending::<()>().await; // await: has_owned_permit
    drop(permit);
}

async fn waits_for_permit(semaphore: Arc<Semaphore>) {
    let permit = semaphore.acquire().await; // await: waits_for_permit
    drop(permit);
}

async fn waits_for_owned_permit(semaphore: Arc<Semaphore>) {
    let permit = semaphore.acquire_arc().await; // await: waits_for_owned_permit
    drop(permit);
}

async fn locks_owned(lock: Arc<Mutex<u64>>) {
    let mut count = lock.lock_arc().await;
    pending::<()>().await; // await: locks_owned
    *count += 1;
}

async fn waits_to_lock_owned(lock: Arc<Mutex<u64>>) {
    let mut count = lock.lock_arc().await; // await: waits_to_lock_owned
    *count += 1;
}

/// The lock contains a lock that another task holds.
async fn holds_outer(lock: Arc<Mutex<(u8, tokio::sync::Mutex<u8>)>>) {
    let outer = lock.lock().await;
    pending::<()>().await; // await: holds_outer
    drop(outer);
}

async fn waits_for_outer(lock: Arc<Mutex<(u8, tokio::sync::Mutex<u8>)>>) {
    let outer = lock.lock().await; // await: waits_for_outer
    drop(outer);
}

/// Two of these are a deadlock.
async fn writes_both(first: Table, other: Table, both: Arc<Barrier>) {
    let first = first.write().await;
    both.wait().await;
    let other = other.write().await; // await: writes_both
    drop((first, other));
}

/// Two of these are a deadlock.
async fn reads_other(first: RwLockWriteGuardArc<u64>, other: Table) {
    let other = other.read().await; // await: reads_other
    drop((first, other));
}

/// It would go on if the other task gave up to write.
async fn reads_twice(table: Table, is_waiting: Arc<Barrier>) {
    let first = table.read().await;
    is_waiting.wait().await;
    let second = table.read().await; // await: reads_twice
    drop((first, second));
}

async fn waits_for_both_reads(table: Table, is_waiting: Arc<Barrier>) {
    is_waiting.wait().await;
    let count = table.write().await; // await: waits_for_both_reads
    drop(count);
}

/// Calls a function far down on the stack, where later calls leave what it has written. Pointers to locks in the frames
/// of a thread would speak against a deadlock.
#[inline(never)]
fn call_far_down(call: impl FnOnce()) {
    let bytes = std::hint::black_box([0_u8; 1 << 16]);
    call();
    std::hint::black_box(&bytes);
}

fn spawn_deadlocks(executor: &LocalExecutor<'_>) {
    let (one, two, both) = (
        Table::default(),
        Table::default(),
        Arc::new(Barrier::new(2)),
    );
    let first = writes_both(Arc::clone(&one), Arc::clone(&two), Arc::clone(&both));
    executor.spawn(first).detach();
    executor.spawn(writes_both(two, one, both)).detach();
    let (one, two) = (Table::default(), Table::default());
    let guards = one.try_write_arc().zip(two.try_write_arc());
    if let Some((first, second)) = guards {
        executor.spawn(reads_other(first, two)).detach();
        executor.spawn(reads_other(second, one)).detach();
    }
}

fn main() {
    let executor = LocalExecutor::new();
    let table = Table::default;
    let settled = async || {
        for _ in 0..100 {
            future::yield_now().await;
        }
    };
    smol::block_on(executor.run(async {
        let written = table();
        let read = table();
        let owned = Arc::new(RwLock::new((0, Mutex::new(0))));
        let upgraded = table();
        let semaphore = Arc::new(Semaphore::new(2));
        let lock = Arc::new(Mutex::new(0));
        let nested = Arc::new(Mutex::new((0, tokio::sync::Mutex::new(0))));
        executor
            .spawn(holds_to_write(Arc::clone(&written)))
            .detach();
        executor.spawn(reads(Arc::clone(&read))).detach();
        executor.spawn(reads_owned(owned.read_arc().await)).detach();
        executor.spawn(reads(Arc::clone(&upgraded))).detach();
        executor.spawn(has_permit(Arc::clone(&semaphore))).detach();
        executor
            .spawn(has_owned_permit(Arc::clone(&semaphore)))
            .detach();
        executor.spawn(locks_owned(Arc::clone(&lock))).detach();
        executor.spawn(holds_outer(Arc::clone(&nested))).detach();
        settled().await;
        executor.spawn(waits_to_read(Arc::clone(&written))).detach();
        executor
            .spawn(waits_to_write(Arc::clone(&written)))
            .detach();
        executor.spawn(waits_to_upgradable_read(written)).detach();
        executor
            .spawn(waits_for_readers(Arc::clone(&read)))
            .detach();
        executor.spawn(waits_for_owned_reader(owned)).detach();
        executor.spawn(upgrades(Arc::clone(&upgraded))).detach();
        executor
            .spawn(waits_for_permit(Arc::clone(&semaphore)))
            .detach();
        executor.spawn(waits_for_owned_permit(semaphore)).detach();
        executor.spawn(waits_to_lock_owned(lock)).detach();
        executor.spawn(waits_for_outer(nested)).detach();
        settled().await;
        executor.spawn(waits_for_waiting_writer(read)).detach();
        executor.spawn(waits_for_upgrade(upgraded)).detach();
        call_far_down(|| spawn_deadlocks(&executor));
        let (one, is_waiting) = (table(), Arc::new(Barrier::new(2)));
        executor
            .spawn(reads_twice(Arc::clone(&one), Arc::clone(&is_waiting)))
            .detach();
        executor
            .spawn(waits_for_both_reads(one, is_waiting))
            .detach();
        settled().await;
        println!("ready");
        pending::<()>().await;
    }));
}
