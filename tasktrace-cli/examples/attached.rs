//! Runs tasks that other processes attach to, for the tests of the command line.
//!
//! The program does what its arguments name, in their order, prints `ready`, and exits when its standard input ends.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tasktrace::{TaskDump, TaskState};

/// The number of threads of the runtime.
const WORKERS: usize = 2;

#[tasktrace::traced("order {customer}")]
async fn order(customer: &'static str, stock: Arc<tokio::sync::Mutex<u32>>) {
    *stock.lock().await -= 1;
}

#[tasktrace::traced]
async fn reconnect() {
    std::future::pending().await
}

#[tasktrace::traced("worker {number}")]
async fn blocks(number: usize, blocked: Arc<AtomicUsize>) {
    tokio::task::yield_now().await;
    blocked.fetch_add(1, Ordering::Release);
    std::thread::sleep(Duration::from_secs(3600));
}

/// Waits until at least `tasks` tasks are suspended.
fn wait_for_suspended(tasks: usize) {
    let is_suspended = |task: &&TaskDump| *task.state() == TaskState::Suspended;
    while tasktrace::snapshot().tasks().filter(is_suspended).count() < tasks {
        std::thread::yield_now();
    }
}

fn main() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.expect("the system has threads");
    let _inside = runtime.enter();
    let mut attached = Vec::new();
    let mut server = None;
    let mut exit = false;
    for argument in std::env::args().skip(1) {
        match &*argument {
            "attach" => match tasktrace::attach() {
                Ok(guard) => {
                    println!("{}", guard.path().display());
                    attached.push(guard);
                }
                Err(error) => println!("error: {error}"),
            },
            "detach" => drop(attached.pop()),
            "start" => tasktrace::__private::start(None),
            "start attach" => tasktrace::__private::start_attach(),
            "http" => {
                let running = tasktrace::http::serve("127.0.0.1:0").expect("it can be bound");
                println!("http://{}", running.local_addr());
                server = Some(running);
            }
            "tasks" => {
                let stock = Arc::new(tokio::sync::Mutex::new(3));
                std::mem::forget(stock.clone().try_lock_owned().expect("nobody has it"));
                for customer in ["ann", "bob", "eve"] {
                    runtime.spawn(order(customer, Arc::clone(&stock)));
                }
                runtime.spawn(reconnect());
                wait_for_suspended(4);
            }
            "blocked" => {
                let blocked = Arc::new(AtomicUsize::new(0));
                for number in 0..WORKERS {
                    runtime.spawn(blocks(number, Arc::clone(&blocked)));
                    // A worker that took two of these tasks would block in one and keep the other in its queue.
                    while blocked.load(Ordering::Acquire) <= number {
                        std::thread::yield_now();
                    }
                }
            }
            "exits" => exit = true,
            other => panic!("it does not know what `{other}` is"),
        }
    }
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
    if exit {
        // Exits with all guards held.
        std::process::exit(0);
    }
    drop(attached);
    drop(server);
    println!("bye");
    // The threads of the runtime may be blocked.
    std::process::exit(0);
}
