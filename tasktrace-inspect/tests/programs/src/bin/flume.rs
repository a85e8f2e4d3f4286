//! A program with the name of a crate that runs futures. Its tasks look like a deadlock and are none.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex as StdMutex};
use std::task::{Context, Poll, Waker};

use tasktrace_inspect_programs::{arrive, ready};
use tokio::sync::{Mutex, Notify};

type Lock = Arc<Mutex<u64>>;

/// Something that may be rung from anywhere.
type Bell = Arc<StdMutex<Option<Waker>>>;

/// Waits for a future or for a bell.
struct WithBell<F> {
    future: Pin<Box<F>>,
    bell: Bell,
}

impl<F: Future<Output = ()>> Future for WithBell<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Ok(mut waker) = self.bell.lock() {
            *waker = Some(context.waker().clone());
        }
        self.future.as_mut().poll(context)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (a, b, is_locked) = (Lock::default(), Lock::default(), Arc::new(Notify::new()));
    tokio::spawn(second(
        Arc::clone(&a),
        Arc::clone(&b),
        Arc::clone(&is_locked),
    ));
    is_locked.notified().await;
    let bell = Bell::default();
    tokio::spawn(first(a, b, Arc::clone(&bell), is_locked));
    ready(2).await;
    std::future::pending::<()>().await;
    drop(bell);
}

async fn first(a: Lock, b: Lock, bell: Bell, is_locked: Arc<Notify>) {
    let mut mine = a.lock().await;
    is_locked.notify_one();
    arrive();
    let future = Box::pin(take(b));
    WithBell { future, bell }.await; // await: first
    *mine += 1;
}

async fn second(a: Lock, b: Lock, is_locked: Arc<Notify>) {
    let mut mine = b.lock().await;
    is_locked.notify_one();
    tokio::task::yield_now().await;
    is_locked.notified().await;
    arrive();
    *mine += *a.lock().await; // await: second
}

async fn take(lock: Lock) {
    *lock.lock().await += 1; // await: take
}
