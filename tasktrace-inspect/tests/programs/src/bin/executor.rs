//! Tasks of async-executor, which smol uses: on the main thread and on a thread of its own.

use std::future::pending;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use smol::channel::Receiver;
use smol::lock::{Barrier, Mutex};
use smol::{Executor, Task, Timer, future};

static MUTEX: Mutex<()> = Mutex::new(());

async fn receives(messages: Receiver<u32>) {
    messages.recv().await.unwrap(); // await: receives
}

async fn sleeps() {
    naps().await; // await: sleeps
}

async fn naps() {
    Timer::after(Duration::from_secs(3600)).await; // await: naps
}

async fn holds() {
    let _guard = MUTEX.lock().await;
    pending::<()>().await; // await: holds
}

async fn locks() {
    let _guard = MUTEX.lock().await; // await: locks
}

async fn locks_both(first: Arc<Mutex<u32>>, other: Arc<Mutex<u32>>, both: Arc<Barrier>) {
    let first = first.lock().await;
    both.wait().await;
    let other = other.lock().await; // await: locks_both
    drop((first, other));
}

/// async-task boxes futures that are larger than two kilobytes.
async fn is_large() {
    let bytes = std::hint::black_box([7_u8; 4000]);
    pending::<()>().await; // await: is_large
    std::hint::black_box(bytes);
}

async fn awaits(task: Task<()>) {
    task.await; // await: awaits
}

async fn ends() {}

async fn is_cancelled() {
    pending::<()>().await;
}

fn main() {
    let executor: &'static Executor<'static> = Box::leak(Box::default());
    let (_sender, messages) = smol::channel::unbounded();
    thread::spawn(|| smol::block_on(executor.run(pending::<()>())));
    smol::block_on(executor.run(async {
        executor.spawn(receives(messages)).detach();
        executor.spawn(holds()).detach();
        executor.spawn(is_large()).detach();
        let sleeper = executor.spawn(sleeps());
        executor.spawn(awaits(sleeper)).detach();
        while MUTEX.try_lock().is_some() {
            future::yield_now().await;
        }
        executor.spawn(locks()).detach();
        let (one, two) = (Arc::default(), Arc::default());
        let both = Arc::new(Barrier::new(2));
        executor
            .spawn(locks_both(
                Arc::clone(&one),
                Arc::clone(&two),
                Arc::clone(&both),
            ))
            .detach();
        executor.spawn(locks_both(two, one, both)).detach();
        executor.spawn(ends()).await;
        executor.spawn(is_cancelled()).cancel().await;
        println!("ready");
        pending::<()>().await; // await: main
    }));
}
