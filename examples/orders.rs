//! A service that waits at several places, and a plain thread that asks it where.
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

    // The task that `main` is. A handle can go anywhere: to a watchdog, a signal handler's thread,
    // an admin page.
    let task = tasktrace::current().expect("main is a task");
    let asker = std::thread::spawn(move || {
        match task.backtrace_timeout(Duration::from_secs(10)) {
            Ok(trace) => println!("{trace}"),
            Err(error) => eprintln!("no trace: {error}"),
        }
        std::process::exit(0);
    });

    let _held = stock.lock().await;
    tokio::join!(take_orders(queue), restock(&stock), heartbeat());
    drop((orders, asker));
}

#[tasktrace::traced]
async fn take_orders(mut queue: mpsc::Receiver<u32>) {
    while let Some(order) = queue.recv().await {
        println!("order {order}");
    }
}

#[tasktrace::traced]
async fn restock(stock: &Mutex<u32>) {
    // Waits for ever: `main` holds the lock while it waits for us.
    *stock.lock().await += 10;
}

async fn heartbeat() {
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}
