//! Pairs of tasks that look like a deadlock and are none, and one pair that is one.
//!
//! In each pair, `first` waits for the lock that `second` holds, and `second` for a lock of which `first` has, or had, a
//! guard.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex as StdMutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use futures::FutureExt;
use tasktrace_inspect_programs::{arrive, ready};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};

type Lock = Arc<Mutex<u64>>;
type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The number of pairs.
const PAIRS: usize = 8;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let bell = Bell::default();
    pair(|a, b, ready| hand_written(a, b, ready, bell.clone())).await;
    pair(|a, b, ready| select(a, b, ready, bell.clone())).await;
    pair(|a, b, ready| futures_select(a, b, ready, bell.clone())).await;
    pair(|a, b, ready| poll_function(a, b, ready, bell.clone())).await;
    pair(|a, b, ready| reader(a, b, ready, Box::new(Input(bell.clone())))).await;
    pair(dropped_and_taken_by_a_thread).await;
    let kept = Kept::default();
    pair(|a, b, ready| dropped_and_kept_elsewhere(a, b, ready, Arc::clone(&kept))).await;
    pair(moved).await;
    ready(2 * PAIRS).await;
    std::future::pending::<()>().await;
    drop(kept);
}

/// Starts a pair of tasks.
async fn pair<F: Future<Output = ()> + Send + 'static>(
    first: impl FnOnce(Lock, Lock, Arc<Notify>) -> F,
) {
    let (a, b, ready) = (Lock::default(), Lock::default(), Arc::new(Notify::new()));
    let locked = Arc::new(Notify::new());
    tokio::spawn(second(
        Arc::clone(&a),
        Arc::clone(&b),
        Arc::clone(&ready),
        Arc::clone(&locked),
    ));
    locked.notified().await;
    tokio::spawn(first(a, b, ready));
}

async fn second(a: Lock, b: Lock, ready: Arc<Notify>, locked: Arc<Notify>) {
    let mut mine = b.lock().await;
    locked.notify_one();
    ready.notified().await;
    arrive();
    *mine += *a.lock().await;
}

/// Something that may be rung from anywhere.
#[derive(Clone, Default)]
struct Bell(Arc<StdMutex<Option<Waker>>>);

impl Future for Bell {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Ok(mut waker) = self.0.lock() {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

/// A future that waits for futures in a queue, and for a bell.
struct Queue {
    futures: VecDeque<Boxed>,
    lock: Boxed,
    bell: Bell,
}

impl Future for Queue {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.lock.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        for future in &mut self.futures {
            if future.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
        }
        Pin::new(&mut self.bell).poll(context)
    }
}

async fn take(lock: Lock) {
    *lock.lock().await += 1;
}

async fn hand_written(a: Lock, b: Lock, ready: Arc<Notify>, bell: Bell) {
    let mut mine = a.lock().await;
    ready.notify_one();
    arrive();
    let futures: VecDeque<Boxed> = [Box::pin(bell.clone()) as Boxed].into();
    let lock = Box::pin(take(b));
    Queue {
        futures,
        lock,
        bell,
    }
    .await;
    *mine += 1;
}

async fn select(a: Lock, b: Lock, ready: Arc<Notify>, bell: Bell) {
    let mut mine = a.lock().await;
    ready.notify_one();
    arrive();
    tokio::select! {
        () = take(b) => {}
        () = bell => {}
    }
    *mine += 1;
}

async fn futures_select(a: Lock, b: Lock, ready: Arc<Notify>, bell: Bell) {
    let mut mine = a.lock().await;
    ready.notify_one();
    arrive();
    let (mut lock, mut bell) = (pin!(take(b).fuse()), bell.fuse());
    futures::select! {
        () = lock => {}
        () = bell => {}
    }
    *mine += 1;
}

async fn poll_function(a: Lock, b: Lock, ready: Arc<Notify>, bell: Bell) {
    let mut mine = a.lock().await;
    ready.notify_one();
    arrive();
    let (mut lock, mut bell) = (pin!(take(b)), pin!(bell));
    poll_fn(|context| match lock.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => bell.as_mut().poll(context),
    })
    .await;
    *mine += 1;
}

struct Input(Bell);

impl AsyncRead for Input {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        _buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll(context).map(Ok)
    }
}

async fn reader(
    a: Lock,
    b: Lock,
    ready: Arc<Notify>,
    mut input: Box<dyn AsyncRead + Send + Unpin>,
) {
    let mut mine = a.lock().await;
    ready.notify_one();
    arrive();
    let mut buffer = [0; 8];
    tokio::select! {
        () = take(b) => {}
        _ = input.read(&mut buffer) => {}
    }
    *mine += 1;
}

async fn dropped_and_taken_by_a_thread(a: Lock, b: Lock, ready: Arc<Notify>) {
    let mut mine = a.lock().await;
    *mine += 1;
    drop(mine);
    let taken = Arc::new(Notify::new());
    let (lock, told) = (Arc::clone(&a), Arc::clone(&taken));
    thread::spawn(move || {
        let guard = lock.blocking_lock();
        told.notify_one();
        loop {
            thread::park();
            std::hint::black_box(&guard);
        }
    });
    taken.notified().await;
    ready.notify_one();
    arrive();
    *b.lock().await += 1;
}

type Kept = Arc<StdMutex<Vec<OwnedMutexGuard<u64>>>>;

async fn dropped_and_kept_elsewhere(a: Lock, b: Lock, ready: Arc<Notify>, kept: Kept) {
    let mut mine = Arc::clone(&a).lock_owned().await;
    *mine += 1;
    drop(mine);
    let guard = a.lock_owned().await;
    if let Ok(mut kept) = kept.lock() {
        kept.push(guard);
    }
    ready.notify_one();
    arrive();
    *b.lock().await += 1;
}

/// This one is a deadlock.
async fn moved(a: Lock, b: Lock, ready: Arc<Notify>) {
    let mut mine = a.lock_owned().await;
    *mine += 1;
    ready.notify_one();
    keeper(mine, b).await;
}

async fn keeper(mut mine: OwnedMutexGuard<u64>, b: Lock) {
    arrive();
    let other = b.lock().await;
    *mine += *other;
}
