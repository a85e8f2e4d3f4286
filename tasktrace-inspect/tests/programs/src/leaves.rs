//! Tasks that wait for one resource each.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::arrive;

/// The number of tasks that [`spawn`] starts.
pub const TASKS: usize = 10;

/// Starts the tasks. What they wait for lives as long as the result.
pub fn spawn() -> impl Sized {
    let (sender, receiver) = mpsc::channel(4);
    let (full, _unread) = mpsc::channel(1);
    let (value, later) = oneshot::channel();
    let (watched, watcher) = watch::channel(0);
    let semaphore = Arc::new(Semaphore::new(2));
    let notify = Arc::new(Notify::new());
    let slow = tokio::spawn(sleeper());
    tokio::spawn(joiner(slow));
    tokio::spawn(receiver_of(receiver));
    tokio::spawn(sender_of(full));
    tokio::spawn(oneshot_waiter(later));
    tokio::spawn(watcher_of(watcher));
    tokio::spawn(acquirer(Arc::clone(&semaphore)));
    tokio::spawn(notified(Arc::clone(&notify)));
    tokio::spawn(acceptor());
    tokio::spawn(Counter { step: 7 }.ticks());
    (sender, _unread, value, watched, semaphore, notify)
}

async fn sleeper() {
    arrive();
    tokio::time::sleep(Duration::from_secs(3600)).await; // await: sleeper
}

async fn joiner(handle: JoinHandle<()>) {
    arrive();
    let _ = handle.await; // await: joiner
}

async fn receiver_of(mut receiver: mpsc::Receiver<u64>) {
    arrive();
    let received = receiver.recv().await; // await: receiver_of
    std::hint::black_box(received);
}

async fn sender_of(sender: mpsc::Sender<u64>) {
    let _ = sender.send(1).await;
    arrive();
    let _ = sender.send(2).await; // await: sender_of
}

async fn oneshot_waiter(receiver: oneshot::Receiver<String>) {
    arrive();
    let _ = receiver.await; // await: oneshot_waiter
}

async fn watcher_of(mut watcher: watch::Receiver<u64>) {
    arrive();
    let _ = watcher.changed().await; // await: watcher_of
}

async fn acquirer(semaphore: Arc<Semaphore>) {
    arrive();
    let permits = semaphore.acquire_many(3).await; // await: acquirer
    drop(permits);
}

async fn notified(notify: Arc<Notify>) {
    arrive();
    notify.notified().await; // await: notified
}

async fn acceptor() {
    let Ok(listener) = TcpListener::bind("127.0.0.1:0").await else {
        return;
    };
    arrive();
    let _ = listener.accept().await; // await: acceptor
}

struct Counter {
    step: u64,
}

impl Counter {
    async fn ticks(mut self) {
        let mut interval = tokio::time::interval(Duration::from_secs(3600));
        interval.tick().await;
        arrive();
        interval.tick().await; // await: ticks
        self.step += 1;
    }
}
