//! Runs a service that waits at several places, and a plain thread that prints a trace of it.
//!
//! ```text
//! cargo run --example orders
//! ```

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};

#[tasktrace::main]
async fn main() {
    let stock = Arc::new(Mutex::new(3));
    let (orders, queue) = mpsc::channel(8);

    // `main` itself is a task. Its handle can go anywhere: to a watchdog, a signal handler's thread,
    // an admin page.
    let task = tasktrace::current().expect("main is a task");
    let requester = std::thread::spawn(move || {
        match task.backtrace_timeout(Duration::from_secs(10)) {
            Ok(trace) => println!("{trace}"),
            Err(error) => eprintln!("no trace: {error}"),
        }
        std::process::exit(0);
    });

    let _held = stock.lock().await;
    tokio::join!(take_orders(queue), restock(&stock), heartbeat());
    drop((orders, requester));
}

#[tasktrace::traced]
async fn take_orders(mut queue: mpsc::Receiver<u32>) {
    while let Some(order) = queue.recv().await {
        println!("order {order}");
    }
}

#[tasktrace::traced]
async fn restock(stock: &Mutex<u32>) {
    // Waits for ever, because `main` holds the lock while it waits for this function.
    *stock.lock().await += 10;
}

async fn heartbeat() {
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}
