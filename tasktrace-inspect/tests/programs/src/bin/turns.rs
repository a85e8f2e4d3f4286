//! Pairs of tasks that wait for each other by turns, on two worker threads.

use std::sync::Arc;

use tasktrace_inspect_programs::{arrive, ready};
use tokio::sync::{Barrier, Mutex};

const PAIRS: usize = 50;

type Lock = Arc<Mutex<u64>>;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let pairs: Vec<_> = (0..PAIRS)
        .map(|_| (Lock::default(), Lock::default(), Arc::new(Barrier::new(2))))
        .collect();
    // The tasks of a pair are read one long after the other.
    for (a, b, both) in &pairs {
        tokio::spawn(player(Arc::clone(a), Arc::clone(b), Arc::clone(both), true));
    }
    for (a, b, both) in pairs {
        tokio::spawn(player(b, a, both, false));
    }
    ready(2 * PAIRS).await;
    std::future::pending::<()>().await;
}

async fn player(mine: Lock, other: Lock, both: Arc<Barrier>, mut is_turn: bool) {
    arrive();
    loop {
        let mut held = mine.lock().await;
        both.wait().await;
        match is_turn {
            true => *held += *other.lock().await,
            false => {
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
            }
        }
        drop(held);
        both.wait().await;
        is_turn = !is_turn;
    }
}
