//! Tasks whose guards are in containers, each with a task that waits for the lock, and tasks that wait for a notification.

use std::collections::{BTreeMap, HashMap, LinkedList, VecDeque};
use std::future::Future;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use smallvec::{SmallVec, smallvec};
use tasktrace_inspect_programs::{arrive, ready};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, mpsc, oneshot};

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
    pair(in_hash_map).await;
    pair(in_tree_map).await;
    pair(in_slots).await;
    pair(in_messages).await;
    pair(in_oneshot).await;
    pair(in_linked_list).await;
    pair(in_messages_of_futures).await;
    pair(in_small_vec).await;
    pair(in_spilled_small_vec).await;
    tokio::spawn(polls_small_vec());
    tokio::spawn(polls_spilled_small_vec());
    let shared = Arc::new(std::sync::Mutex::new(None));
    pair(|lock, held| in_shared(lock, held, Arc::clone(&shared))).await;
    let notify = Arc::new(Notify::new());
    for _ in 0..3 {
        tokio::spawn(listener(Arc::clone(&notify)));
    }
    ready(26 + 4 + 3).await;
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

async fn in_hash_map(lock: Lock, held: Arc<Notify>) {
    let mut map = HashMap::new();
    for number in 0..100 {
        map.insert(number, None);
    }
    map.insert(100, Some(lock.lock_owned().await));
    nap(held).await; // await: in_hash_map
    drop(map);
}

/// The tree is three nodes high.
async fn in_tree_map(lock: Lock, held: Arc<Notify>) {
    let mut map = BTreeMap::new();
    for number in 0..300 {
        map.insert(number, None);
    }
    map.insert(150, Some(lock.lock_owned().await));
    nap(held).await; // await: in_tree_map
    drop(map);
}

/// Some values in an array, as in crates for lists without allocation.
struct Slots<T> {
    items: [MaybeUninit<T>; 4],
    len: usize,
}

impl<T> Drop for Slots<T> {
    fn drop(&mut self) {
        for item in &mut self.items[..self.len] {
            // SAFETY: `in_slots` has initialized the first `len` items, and nothing else drops them.
            unsafe { item.assume_init_drop() };
        }
    }
}

async fn in_slots(lock: Lock, held: Arc<Notify>) {
    let mut slots = Slots {
        items: [const { MaybeUninit::uninit() }; 4],
        len: 0,
    };
    slots.items[0].write(lock.lock_owned().await);
    slots.len = 1;
    nap(held).await; // await: in_slots
    drop(slots);
}

/// The messages are in several blocks of the channel, and some of the first were received.
async fn in_messages(lock: Lock, held: Arc<Notify>) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for _ in 0..100 {
        let _ = sender.send(None);
    }
    for _ in 0..40 {
        receiver.recv().await;
    }
    let _ = sender.send(Some(lock.lock_owned().await));
    nap(held).await; // await: in_messages
    drop(receiver);
}

async fn in_oneshot(lock: Lock, held: Arc<Notify>) {
    let (sender, receiver) = oneshot::channel();
    let _ = sender.send(lock.lock_owned().await);
    nap(held).await; // await: in_oneshot
    drop(receiver);
}

async fn in_linked_list(lock: Lock, held: Arc<Notify>) {
    let mut list = LinkedList::from([None, None]);
    list.push_back(Some(lock.lock_owned().await));
    list.push_back(None);
    nap(held).await; // await: in_linked_list
    drop(list);
}

/// Some of the messages were received.
async fn in_messages_of_futures(lock: Lock, held: Arc<Notify>) {
    let (sender, mut receiver) = futures::channel::mpsc::unbounded();
    for _ in 0..3 {
        let _ = sender.unbounded_send(None);
    }
    receiver.next().await;
    let _ = sender.unbounded_send(Some(lock.lock_owned().await));
    nap(held).await; // await: in_messages_of_futures
    drop(receiver);
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

async fn in_small_vec(lock: Lock, held: Arc<Notify>) {
    let mut list: SmallVec<[_; 4]> = smallvec![(0_u8, None)];
    list.push((1, Some(lock.lock_owned().await)));
    nap(held).await; // await: in_small_vec
    drop(list);
}

async fn in_spilled_small_vec(lock: Lock, held: Arc<Notify>) {
    let mut list: SmallVec<[_; 2]> = smallvec![(0_u8, None), (1, None)];
    list.push((2, Some(lock.lock_owned().await)));
    nap(held).await; // await: in_spilled_small_vec
    drop(list);
}

/// Polls all futures of a list, and never ends.
struct All<F>(SmallVec<[Pin<Box<F>>; 2]>);

impl<F: Future<Output = ()>> Future for All<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        for future in &mut self.0 {
            _ = future.as_mut().poll(context);
        }
        Poll::Pending
    }
}

async fn polls_small_vec() {
    All(smallvec![Box::pin(element(1))]).await; // await: polls_small_vec
}

async fn polls_spilled_small_vec() {
    let futures = [1, 2, 3].map(|number| Box::pin(element(number)));
    All(futures.into_iter().collect()).await; // await: polls_spilled_small_vec
}

async fn element(number: u64) {
    arrive();
    tokio::time::sleep(Duration::from_secs(3600 + number)).await; // await: element
}

async fn listener(notify: Arc<Notify>) {
    arrive();
    notify.notified().await; // await: listener
}
