//! Plain tests with plain `tokio::spawn`, which hang in a child process.

use std::sync::Arc;
use std::time::Duration;

use tasktrace_inspect_tests::HOUR;
use tokio::sync::{Barrier, Mutex, Notify, Semaphore, mpsc};
use tokio::time::sleep;

use crate::verdicts::is_child;

type Lock = Arc<Mutex<u32>>;

async fn there(one: Lock, other: Lock, both: Arc<Barrier>) {
    let _one = one.lock().await;
    both.wait().await;
    let _other = other.lock().await; // there waits
}

async fn back(one: Lock, other: Lock, both: Arc<Barrier>) {
    let _one = one.lock().await;
    both.wait().await;
    let _other = other.lock().await; // back waits
}

/// Two tasks lock two mutexes in opposite order.
#[tasktrace::test(timeout = "2s")]
async fn two_mutexes() {
    if !is_child() {
        return;
    }
    let (ann, bob) = (Lock::default(), Lock::default());
    let both = Arc::new(Barrier::new(2));
    let one = tokio::spawn(there(ann.clone(), bob.clone(), both.clone()));
    let other = tokio::spawn(back(bob, ann, both));
    one.await.unwrap();
    other.await.unwrap();
}

async fn restock(stock: Lock, held: Arc<Notify>) {
    let _stock = stock.lock().await;
    held.notify_one();
    sleep(HOUR).await; // restock waits
}

/// The test waits for a lock that a task holds.
#[tasktrace::test(timeout = "2s")]
async fn held_by_a_task() {
    if !is_child() {
        return;
    }
    let (stock, held) = (Lock::default(), Arc::new(Notify::new()));
    tokio::spawn(restock(stock.clone(), held.clone()));
    held.notified().await;
    let _stock = stock.lock().await; // the test waits
}

/// The test, on several threads, waits for a lock that a task holds.
#[tasktrace::test(timeout = "2s", flavor = "multi_thread", worker_threads = 2)]
async fn held_by_a_task_of_a_worker() {
    if !is_child() {
        return;
    }
    let (stock, held) = (Lock::default(), Arc::new(Notify::new()));
    tokio::spawn(restock(stock.clone(), held.clone()));
    held.notified().await;
    let _stock = stock.lock().await; // the test waits on a worker
}

/// The test waits for a lock that a branch of a task holds. Another branch waits for something else.
#[tasktrace::test(timeout = "2s")]
async fn held_in_a_branch() {
    if !is_child() {
        return;
    }
    let (stock, held) = (Lock::default(), Arc::new(Notify::new()));
    let (_stop, stopped) = mpsc::channel(1);
    let restocks = restock(stock.clone(), held.clone());
    tokio::spawn(async move {
        tokio::join!(listen(stopped), restocks);
    });
    held.notified().await;
    sell(stock).await;
}

async fn sell(stock: Lock) -> u32 {
    *stock.lock().await // sell waits
}

/// The test holds the lock that its task waits for.
#[tasktrace::test(timeout = "2s")]
async fn held_by_the_test() {
    if !is_child() {
        return;
    }
    let stock = Lock::default();
    let _held = stock.lock().await;
    tokio::spawn(sell(stock.clone())).await.unwrap(); // the test joins
}

async fn listen(mut orders: mpsc::Receiver<u32>) -> Option<u32> {
    orders.recv().await // listen waits
}

/// The test joins a task that waits for a message.
#[tasktrace::test(timeout = "2s")]
async fn joins_a_task() {
    if !is_child() {
        return;
    }
    let (_orders, queue) = mpsc::channel(4);
    tokio::spawn(listen(queue)).await.unwrap();
}

/// A task polled a future that has been granted a lock meanwhile, and does not poll it any more.
#[tasktrace::test(timeout = "2s")]
async fn futurelock() {
    if !is_child() {
        return;
    }
    let stock = Lock::default();
    tokio::spawn(select_and_lock(stock)).await.unwrap();
}

async fn select_and_lock(stock: Lock) {
    let held = stock.clone().lock_owned().await;
    let mut first = Box::pin(sell(stock.clone()));
    tokio::select! {
        _ = &mut first => {}
        () = sleep(Duration::from_millis(10)) => {
            drop(held);
            sell(stock).await; // select_and_lock waits
        }
    }
}

/// The guard is kept where no future alone has it.
#[tasktrace::test(timeout = "2s")]
async fn no_holder() {
    if !is_child() {
        return;
    }
    let stock = Lock::default();
    let kept = Arc::new(std::sync::Mutex::new(Some(
        stock.clone().lock_owned().await,
    )));
    let owners = [kept.clone(), kept];
    tokio::spawn(sell(stock)).await.unwrap();
    drop(owners);
}

#[tasktrace::traced]
async fn traced_restock(stock: Lock, held: Arc<Notify>) {
    let _stock = stock.lock().await;
    held.notify_one();
    sleep(HOUR).await; // traced_restock waits
}

/// A traced task holds the lock that the test waits for.
#[tasktrace::test(timeout = "2s")]
async fn held_by_a_traced_task() {
    if !is_child() {
        return;
    }
    let (stock, held) = (Lock::default(), Arc::new(Notify::new()));
    tasktrace::spawn(traced_restock(stock.clone(), held.clone()));
    held.notified().await;
    sell(stock).await;
}

async fn use_pool(pool: Arc<Semaphore>) {
    let _permit = pool.acquire().await.unwrap();
    sleep(HOUR).await;
}

/// Tasks in the background wait for a pool, as they do in many programs, while the test waits for a message.
#[tasktrace::test(timeout = "2s")]
async fn nobody_sends() {
    if !is_child() {
        return;
    }
    let pool = Arc::new(Semaphore::new(1));
    for _ in 0..2 {
        tokio::spawn(use_pool(pool.clone()));
    }
    let (_orders, queue) = mpsc::channel(4);
    listen(queue).await;
}
