//! Pairs of tasks of smol that look like deadlocks and are none: each has dropped its guard of a lock, and an object that
//! no task owns has a guard of it.

use std::future::pending;
use std::hint::black_box;
use std::sync::{Arc, Mutex as StdMutex};

use smol::lock::{Barrier, Mutex, MutexGuardArc};
use smol::{Executor, future};

/// A value that shares no cache line with another.
#[derive(Default)]
#[repr(align(128))]
struct Aligned;

type Kept<T> = Arc<StdMutex<Vec<MutexGuardArc<T>>>>;

async fn keeps<T>(mine: Arc<Mutex<T>>, other: Arc<Mutex<T>>, both: Arc<Barrier>, kept: Kept<T>) {
    let guard = mine.lock().await;
    both.wait().await;
    black_box(&guard);
    drop(guard);
    let guard = mine.try_lock_arc();
    if let Ok(mut kept) = kept.lock() {
        kept.extend(guard);
    }
    both.wait().await;
    black_box(&*other.lock().await);
}

fn pair<T: Default + Send + 'static>(executor: &Executor<'_>) -> Kept<T> {
    let (one, two): (Arc<Mutex<T>>, Arc<Mutex<T>>) = Default::default();
    let (both, kept) = (Arc::new(Barrier::new(2)), Kept::default());
    for (mine, other) in [(&one, &two), (&two, &one)] {
        let (mine, other) = (Arc::clone(mine), Arc::clone(other));
        let task = keeps(mine, other, Arc::clone(&both), Arc::clone(&kept));
        executor.spawn(task).detach();
    }
    kept
}

fn main() {
    let executor = Executor::new();
    let kept = (pair::<u64>(&executor), pair::<Aligned>(&executor));
    smol::block_on(executor.run(async {
        for _ in 0..100 {
            future::yield_now().await;
        }
        println!("ready");
        pending::<()>().await;
    }));
    drop(kept);
}
