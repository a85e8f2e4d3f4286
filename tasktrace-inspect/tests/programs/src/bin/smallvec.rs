//! A program with the name of a crate. Its `SmallVec` has the layout that the feature `union` gives that of the crate: a
//! program cannot have the crate both with and without a feature.

use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use tasktrace_inspect_programs::{arrive, ready};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};

type Lock = Arc<Mutex<u64>>;

trait Array {
    type Item;
}

impl<T, const N: usize> Array for [T; N] {
    type Item = T;
}

struct SmallVec<A: Array> {
    capacity: usize,
    data: SmallVecData<A>,
}

union SmallVecData<A: Array> {
    inline: ManuallyDrop<MaybeUninit<A>>,
    heap: (NonNull<A::Item>, usize),
}

// SAFETY: a `SmallVec` owns its elements, so it may be sent wherever they may.
unsafe impl<A: Array> Send for SmallVec<A> where A::Item: Send {}

impl<T> SmallVec<[T; 1]> {
    fn inline(element: T) -> Self {
        let inline = ManuallyDrop::new(MaybeUninit::new([element]));
        Self {
            capacity: 1,
            data: SmallVecData { inline },
        }
    }

    /// The elements are never freed.
    fn spilled(elements: [T; 2]) -> Self {
        let elements = NonNull::from(Box::leak(Box::new(elements)));
        Self {
            capacity: 2,
            data: SmallVecData {
                heap: (elements.cast(), 2),
            },
        }
    }

    fn len(&self) -> usize {
        match self.capacity {
            0 | 1 => self.capacity,
            // SAFETY: `spilled` has made the list, as `inline` makes none with room for more than one element.
            _ => unsafe { self.data.heap.1 },
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let lock = Lock::default();
    let held = Arc::new(Notify::new());
    tokio::spawn(inline(Arc::clone(&lock), Arc::clone(&held)));
    held.notified().await;
    tokio::spawn(waits_for_inline(lock));
    let lock = Lock::default();
    tokio::spawn(spilled(Arc::clone(&lock), Arc::clone(&held)));
    held.notified().await;
    tokio::spawn(waits_for_spilled(lock));
    ready(4).await;
    std::future::pending::<()>().await;
}

async fn inline(lock: Lock, held: Arc<Notify>) {
    let list = SmallVec::inline(lock.lock_owned().await);
    keep(list, held).await;
}

async fn spilled(lock: Lock, held: Arc<Notify>) {
    let other = Lock::default().lock_owned().await;
    let list = SmallVec::spilled([other, lock.lock_owned().await]);
    keep(list, held).await;
}

async fn keep(list: SmallVec<[OwnedMutexGuard<u64>; 1]>, held: Arc<Notify>) {
    arrive();
    held.notify_one();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    println!("{}", list.len());
}

async fn waits_for_inline(lock: Lock) {
    arrive();
    *lock.lock().await += 1;
}

async fn waits_for_spilled(lock: Lock) {
    arrive();
    *lock.lock().await += 1;
}
