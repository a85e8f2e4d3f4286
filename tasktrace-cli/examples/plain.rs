//! A program without tasktrace, for the tests of the command line: two tasks in a deadlock, and one that waits for a
//! message.
//!
//! The program prints `ready` when its tasks are about to reach their last waits, and exits when its standard input ends.

use std::io::Read;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::{Barrier, Mutex, mpsc};

async fn transfer(from: Arc<Mutex<u32>>, to: Arc<Mutex<u32>>, both: Arc<Barrier>) {
    let mut from = from.lock().await;
    both.wait().await;
    let mut to = to.lock().await;
    *to += *from;
    *from = 0;
}

async fn listen(mut messages: mpsc::Receiver<u32>, ready: tokio::sync::oneshot::Sender<()>) {
    ready.send(()).expect("it is waited for");
    while messages.recv().await.is_some() {}
}

/// Only the tasks have the accounts. A pointer to a lock that is left on a stack speaks against a deadlock.
fn spawn_transfers(runtime: &Runtime) {
    let (ann, bob) = (Arc::new(Mutex::new(1)), Arc::new(Mutex::new(2)));
    let both = Arc::new(Barrier::new(2));
    runtime.spawn(transfer(ann.clone(), bob.clone(), both.clone()));
    runtime.spawn(transfer(bob, ann, both));
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build();
    let runtime = runtime.expect("the system has threads");
    spawn_transfers(&runtime);
    let (_sender, messages) = mpsc::channel(1);
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    runtime.spawn(listen(messages, ready));
    is_ready.blocking_recv().expect("it is sent");
    println!("ready");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    // The runtime does not wait for its tasks.
}
