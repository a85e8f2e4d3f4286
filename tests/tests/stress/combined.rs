//! Tests combinators that hand out wakers of their own, shared among the tasks of an executor with several threads.
//! Only woken futures are polled, so a lost wake hangs the test.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::{BoxFuture, FutureExt, Shared};
use futures::stream::{FuturesUnordered, StreamExt};
use tasktrace::traced;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinSet, yield_now};

use crate::reading::Readers;
use crate::support::{INTENDED_PANIC, Random, scenario};

const TASKS: u64 = 1000;

static NUMBERS: AtomicUsize = AtomicUsize::new(0);

fn next_number() -> usize {
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

#[traced("a {number}")]
async fn a(number: usize, yields: usize) -> usize {
    b(number, yields).await;
    yields
}

#[traced("b {number}")]
async fn b(number: usize, yields: usize) {
    futures::join!(c(number, yields), beside());
}

#[traced("c {number}")]
async fn c(number: usize, yields: usize) {
    for _ in 0..yields {
        yield_now().await;
    }
    let _ = number;
}

#[traced]
async fn beside() {
    yield_now().await;
}

type Children = FuturesUnordered<BoxFuture<'static, usize>>;
type Sharing = Shared<BoxFuture<'static, usize>>;

/// The state that all tasks share.
struct Common {
    /// Sets of children that are passed from task to task.
    send: mpsc::UnboundedSender<Children>,
    receive: Mutex<mpsc::UnboundedReceiver<Children>>,
    shared: Mutex<Vec<Sharing>>,
    lock: Mutex<()>,
}

#[traced("task {number}")]
async fn random_task(number: u64, common: Arc<Common>) {
    let mut random = Random::new(number);
    for _ in 0..8 {
        random_step(&mut random, &common).await;
    }
}

#[traced]
async fn random_step(random: &mut Random, common: &Arc<Common>) {
    match random.below(8) {
        // Polls new children, and sends them to another task.
        0 => {
            let mut children: Children = (0..1 + random.below(6))
                .map(|_| a(next_number(), random.below(8)).boxed())
                .collect();
            if random.below(2) == 0 {
                children.next().await;
            } else {
                let mut next = children.next();
                let _ = futures::poll!(&mut next);
            }
            common.send.send(children).unwrap();
        }
        // Polls the children of another task, or drops them.
        1 | 2 => {
            let received = common.receive.lock().await.try_recv();
            if let Ok(mut children) = received {
                while children.next().await.is_some() {
                    if random.below(4) == 0 {
                        break;
                    }
                }
            }
        }
        // Awaits a future that other tasks await too, or polls it once and leaves it to the others. `Shared` clones
        // wakers under a standard `Mutex`, which ThreadSanitizer does not see, but it sees the clones.
        3 if !cfg!(tasktrace_tsan) => {
            let sharing = {
                let mut shared = common.shared.lock().await;
                if shared.len() < 4 {
                    shared.push(a(next_number(), 1 + random.below(16)).boxed().shared());
                }
                let at = random.below(shared.len());
                shared[at].clone()
            };
            if random.below(3) == 0 {
                let _ = futures::poll!(sharing);
            } else {
                sharing.await;
            }
        }
        4 => {
            let ended = random.take(&mut *common.shared.lock().await);
            drop(ended);
        }
        5 => {
            let mut set = JoinSet::new();
            for _ in 0..random.below(4) {
                set.spawn(a(next_number(), random.below(8)));
            }
            if random.below(2) == 0 {
                set.spawn(async { std::panic::panic_any(INTENDED_PANIC) });
            }
            if random.below(2) == 0 {
                set.abort_all();
            }
            while set.join_next().await.is_some() {}
        }
        6 => {
            // Polls a future once, and lets another task of the executor finish it.
            let mut future: Pin<Box<dyn Future<Output = usize> + Send>> =
                Box::pin(a(next_number(), 1 + random.below(8)));
            if futures::poll!(future.as_mut()).is_pending() {
                tokio::spawn(future).await.unwrap();
            }
        }
        _ => {
            let _held = common.lock.lock().await;
            a(next_number(), random.below(4)).await;
            if let Some(task) = tasktrace::current() {
                drop(task.clone());
            }
        }
    }
}

#[test]
fn no_wake_is_lost_between_tasks_that_share_futures_and_locks() {
    scenario(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(3)
            .enable_time()
            .build()
            .unwrap();
        let readers = Readers::start(2);
        runtime.block_on(async {
            let (send, receive) = mpsc::unbounded_channel();
            let common = Arc::new(Common {
                send,
                receive: Mutex::new(receive),
                shared: Mutex::default(),
                lock: Mutex::default(),
            });
            let tasks: Vec<_> = (0..TASKS)
                .map(|seed| tokio::spawn(random_task(seed, common.clone())))
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            drop(common);
        });
        drop(runtime);
        readers.finish();
    });
}
