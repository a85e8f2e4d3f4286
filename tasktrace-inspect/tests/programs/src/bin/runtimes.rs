//! Several runtimes, local tasks, and closures on threads for blocking work.

use std::hint;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tasktrace_inspect_programs::{arrive, ready};
use tokio::runtime::Builder;
use tokio::sync::{Barrier, OnceCell, broadcast};
use tokio::task::{JoinHandle, LocalSet};

/// The closure that blocks has started.
static BLOCKS: AtomicBool = AtomicBool::new(false);

fn main() -> std::io::Result<()> {
    let local = Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        let set = LocalSet::new();
        set.spawn_local(local_task());
        set.spawn_local(joins_computing());
        local.block_on(set.run_until(local_root()));
    });
    let workers = Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .enable_all()
        .build()?;
    workers.spawn(barrier());
    workers.spawn(once());
    workers.spawn(second());
    let (sender, receiver) = broadcast::channel(4);
    workers.spawn(subscriber(receiver));
    workers.spawn(joins_blocking());
    workers.spawn(joins_queued());
    workers.block_on(ready(10));
    workers.block_on(root());
    drop(sender);
    Ok(())
}

async fn root() {
    tokio::time::sleep(Duration::from_secs(3600)).await; // await: root
}

async fn local_root() {
    arrive();
    tokio::time::sleep(Duration::from_secs(3600)).await; // await: local_root
}

async fn local_task() {
    arrive();
    tokio::time::sleep(Duration::from_secs(3600)).await; // await: local_task
}

async fn barrier() {
    let barrier = Barrier::new(2);
    arrive();
    barrier.wait().await; // await: barrier
}

static CELL: OnceCell<u64> = OnceCell::const_new();

async fn once() {
    arrive();
    CELL.get_or_init(init).await; // await: once
}

/// It is polled after the other, by the same thread.
async fn second() {
    arrive();
    CELL.get_or_init(init).await; // await: second
}

async fn init() -> u64 {
    tokio::time::sleep(Duration::from_secs(3600)).await; // await: init
    1
}

async fn subscriber(mut receiver: broadcast::Receiver<u64>) {
    arrive();
    let _ = receiver.recv().await; // await: subscriber
}

async fn joins_blocking() {
    let handle = tokio::task::spawn_blocking(|| {
        arrive();
        BLOCKS.store(true, Ordering::SeqCst);
        thread::sleep(Duration::from_secs(3600));
    });
    arrive();
    let _ = handle.await; // await: joins_blocking
}

/// The only thread for blocking work is taken.
async fn joins_queued() {
    while !BLOCKS.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    let handle = tokio::task::spawn_blocking(|| thread::sleep(Duration::from_secs(3600)));
    arrive();
    let _ = handle.await; // await: joins_queued
}

/// The thread is in no system call, so its stack is not read.
async fn joins_computing() {
    let handle: JoinHandle<()> = tokio::task::spawn_blocking(|| {
        arrive();
        loop {
            hint::spin_loop();
        }
    });
    let _ = handle.await; // await: joins_computing
}
