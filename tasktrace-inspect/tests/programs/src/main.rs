//! A program whose crate has the name of its library, with a function whose path is that of another in the library.

use std::future::pending;
use std::sync::Arc;

use smol::lock::Mutex;
use smol::{Executor, future};
use tasktrace_inspect_programs::Stock;

async fn same_name() {
    let words = vec!["one".to_owned()];
    in_program().await; // await: same_name of the program
    drop(words);
}

async fn in_program() {
    pending::<()>().await;
}

struct Cart;

impl Cart {
    /// Its path in the debug info is that of `Stock::restock` in the library.
    async fn restock(count: Arc<Mutex<u64>>) {
        let words = ["one".to_owned(), "two".to_owned()];
        let mut count = count.lock().await;
        pending::<()>().await; // await: Cart::restock
        *count += words.len() as u64;
    }
}

async fn waits_for_cart(count: Arc<Mutex<u64>>) {
    *count.lock().await += 1; // await: waits_for_cart
}

async fn waits_for_stock(count: Arc<Mutex<u64>>) {
    *count.lock().await += 1; // await: waits_for_stock
}

fn main() {
    let executor = Executor::new();
    smol::block_on(executor.run(async {
        executor.spawn(same_name()).detach();
        executor
            .spawn(tasktrace_inspect_programs::same_name())
            .detach();
        let (cart, stock) = (Arc::default(), Arc::default());
        executor.spawn(Cart::restock(Arc::clone(&cart))).detach();
        executor.spawn(Stock::restock(Arc::clone(&stock))).detach();
        while cart.try_lock().is_some() || stock.try_lock().is_some() {
            future::yield_now().await;
        }
        executor.spawn(waits_for_cart(cart)).detach();
        executor.spawn(waits_for_stock(stock)).detach();
        for _ in 0..10 {
            future::yield_now().await;
        }
        println!("ready");
        pending::<()>().await;
    }));
}
