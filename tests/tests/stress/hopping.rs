//! Tests futures that move among the tasks of several threads, and end anywhere.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use tasktrace::traced;
// ThreadSanitizer understands this mutex, and not the standard one.
use tokio::sync::Mutex;

use crate::reading::Readers;
use crate::support::{INTENDED_PANIC, Random, scenario};

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;
type Pool = Arc<Mutex<Vec<Boxed>>>;

const THREADS: u64 = 3;
const ROUNDS: usize = 1500;
const TASKS: usize = 6;

/// The frames that move: `a` contains `b`, and so on.
#[traced("a {number}")]
async fn a(number: usize, polls: usize) {
    futures::join!(b(number, polls), beside(polls / 2));
}

#[traced("b {number}")]
async fn b(number: usize, polls: usize) {
    for _ in 0..polls.div_ceil(4) {
        c(number, polls.min(4)).await;
    }
}

#[traced("c {number}")]
async fn c(number: usize, polls: usize) {
    pending(polls).await;
    let _ = number;
}

#[traced]
async fn beside(polls: usize) {
    pending(polls).await;
}

/// Is pending for `polls` polls, and wakes its waker in one way or another.
async fn pending(polls: usize) {
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        match left % 3 {
            0 => cx.waker().wake_by_ref(),
            1 => cx.waker().wake_by_ref(),
            _ => drop(cx.waker().clone()),
        }
        Poll::Pending
    })
    .await;
}

/// A task that takes futures from the pool, polls, keeps and drops them, or puts them back.
async fn random_task(pool: Pool, mut random: Random, polls: usize) {
    let mut kept: Vec<Boxed> = Vec::new();
    for _ in 0..polls {
        let mut taken = random.take(&mut pool.blocking_lock());
        poll_fn(|cx| {
            if let Some(future) = &mut taken
                && future.as_mut().poll(cx).is_ready()
            {
                taken = None;
            }
            kept.retain_mut(|kept| kept.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        match (random.below(8), taken) {
            (0, taken) => drop(taken),
            (1, Some(taken)) => {
                // Polls the future in another task, which is polled inside of this one.
                let (task, handle) = tasktrace::traced(taken);
                let mut task = Box::pin(task);
                let polled = poll_fn(|cx| Poll::Ready(task.as_mut().poll(cx)));
                if polled.await.is_pending() {
                    kept.push(task);
                }
                drop(handle);
            }
            (2, Some(mut taken)) => {
                pollster::block_on(poll_fn(|cx| {
                    if taken.as_mut().poll(cx).is_pending() {
                        pool.blocking_lock().push(std::mem::replace(
                            &mut taken,
                            Box::pin(std::future::ready(())),
                        ));
                    }
                    Poll::Ready(())
                }));
            }
            (3, _) => std::panic::panic_any(INTENDED_PANIC),
            (4, taken) => {
                pool.blocking_lock().extend(taken);
                // A leaked frame exists as long as its task, so it must be in a task.
                let mut leaked = Box::pin(a(random.below(usize::MAX), 3));
                let polled = poll_fn(|cx| Poll::Ready(leaked.as_mut().poll(cx))).await;
                assert!(polled.is_pending());
                std::mem::forget(leaked);
            }
            (5, Some(taken)) => kept.push(taken),
            (_, Some(taken)) => pool.blocking_lock().push(taken),
            (_, None) => {}
        }
        if random.below(4) == 0 {
            drop(random.take(&mut kept));
        }
        pending(1).await;
    }
    pool.blocking_lock().append(&mut kept);
}

fn poll_by_hand(future: &mut Boxed) -> bool {
    let poll = || {
        future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    };
    catch_unwind(AssertUnwindSafe(poll)).map_or(true, |poll| poll.is_ready())
}

fn random_thread(pool: &Pool, numbers: &AtomicUsize, mut random: Random) {
    let mut tasks: Vec<Boxed> = Vec::new();
    for _ in 0..ROUNDS {
        if pool.blocking_lock().len() < 32 {
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            let future = Box::pin(a(number, random.below(64)));
            pool.blocking_lock().push(future);
        }
        while tasks.len() < TASKS {
            let seed = numbers.fetch_add(1, Ordering::Relaxed) as u64;
            let polls = random.below(64);
            let task = random_task(pool.clone(), Random::new(seed), polls);
            tasks.push(Box::pin(tasktrace::traced(task).0));
        }
        tasks.retain_mut(|task| !poll_by_hand(task));
        match random.below(16) {
            0 => drop(random.take(&mut tasks)),
            // A future of the pool becomes a task, or is polled as the task that it already is.
            1 => {
                let taken = random.take(&mut pool.blocking_lock());
                tasks.extend(taken);
            }
            2 => {
                // Tasks move too.
                let taken = random.take(&mut tasks);
                pool.blocking_lock().extend(taken);
            }
            3 => {
                let taken = random.take(&mut pool.blocking_lock());
                drop(taken);
            }
            _ => {}
        }
    }
}

#[test]
fn futures_can_move_among_tasks_and_threads() {
    scenario(|| {
        let pool = Pool::default();
        let numbers = Arc::new(AtomicUsize::new(0));
        let readers = Readers::start(2);
        let players: Vec<_> = (0..THREADS)
            .map(|seed| {
                let (pool, numbers) = (pool.clone(), numbers.clone());
                thread::spawn(move || random_thread(&pool, &numbers, Random::new(seed)))
            })
            .collect();
        for player in players {
            player.join().unwrap();
        }
        readers.finish();
        // A task in the pool has a reference to the pool.
        while let Some(future) = { pool.blocking_lock().pop() } {
            drop(future);
        }
    });
}
