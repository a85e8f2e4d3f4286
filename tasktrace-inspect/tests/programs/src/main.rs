//! A program whose crate has the name of its library, with a function whose path is that of another in the library.

use std::future::pending;

use smol::{Executor, future};

async fn same_name() {
    let words = vec!["one".to_owned()];
    in_program().await; // await: same_name of the program
    drop(words);
}

async fn in_program() {
    pending::<()>().await;
}

fn main() {
    let executor = Executor::new();
    smol::block_on(executor.run(async {
        executor.spawn(same_name()).detach();
        executor
            .spawn(tasktrace_inspect_programs::same_name())
            .detach();
        for _ in 0..10 {
            future::yield_now().await;
        }
        println!("ready");
        pending::<()>().await;
    }));
}
