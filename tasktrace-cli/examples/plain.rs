//! A program without tasktrace, for the tests of the command line: two tasks in a deadlock, and one that waits for a
//! message.
//!
//! The program prints `ready`, and exits when its standard input ends.

use std::io::Read;
use std::sync::Arc;

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

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build();
    let runtime = runtime.expect("the system has threads");
    let accounts = [Arc::new(Mutex::new(1)), Arc::new(Mutex::new(2))];
    let both = Arc::new(Barrier::new(2));
    for (from, to) in [(0, 1), (1, 0)] {
        let (from, to) = (accounts[from].clone(), accounts[to].clone());
        runtime.spawn(transfer(from, to, both.clone()));
    }
    let (_sender, messages) = mpsc::channel(1);
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    runtime.spawn(listen(messages, ready));
    is_ready.blocking_recv().expect("it is sent");
    // Each task waits once no worker runs, because all were woken before.
    while runtime.metrics().num_alive_tasks() < 3 || accounts.iter().any(|it| it.try_lock().is_ok())
    {
        std::thread::yield_now();
    }
    println!("ready");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    // The runtime does not wait for its tasks.
}
