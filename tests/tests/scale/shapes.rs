//! Makes tasks that await very many futures, in several shapes.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::task::Poll;

use futures::stream::{FuturesUnordered, StreamExt};
use tasktrace::traced;
use tokio::runtime::{Builder, Runtime};

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes a future of about the given number of frames.
pub(crate) type Shape = fn(usize) -> Boxed;

/// All shapes, by name.
pub(crate) const ALL: [(&str, Shape); 8] = [
    ("wide", |count| Box::pin(wide(count))),
    ("labelled", |count| Box::pin(wide_labelled(count))),
    ("joined", |count| Box::pin(joined(count))),
    ("deep", deep),
    ("mixed", mixed),
    ("held", |count| Box::pin(held(count))),
    ("tasks", |count| Box::pin(tasks(count))),
    ("chain", chain),
];

/// The shapes for snapshots, which walk no stack.
pub(crate) const LIVE: [(&str, Shape); 6] = [
    ("wide", |count| Box::pin(wide(count))),
    ("labelled", |count| Box::pin(wide_labelled(count))),
    ("mixed", mixed),
    ("comb", |count| comb(count / 2)),
    ("held", |count| Box::pin(held(count))),
    ("tasks", |count| Box::pin(tasks(count))),
];

/// Returns a runtime whose tasks have all been suspended.
pub(crate) fn running(shape: Shape, count: usize) -> Runtime {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        // This stack suffices to poll ten thousand nested futures without optimisation.
        .thread_stack_size(1 << 30)
        .enable_all()
        .build()
        .unwrap();
    let (suspended, is_suspended) = channel();
    runtime.spawn(first(shape(count), suspended));
    is_suspended.recv().unwrap();
    // Tasks may spawn further tasks.
    let is_young = |task: tasktrace::TraceHandle| task.polls() == 0;
    while tasktrace::tasks().any(is_young) {
        std::thread::yield_now();
    }
    // Combinators poll a part of their children at a time. Polls that still go on would count as work, and some frames
    // would be missing. An odd number of parks says that the thread is parked.
    while runtime
        .metrics()
        .worker_park_unpark_count(0)
        .is_multiple_of(2)
    {
        std::thread::yield_now();
    }
    runtime
}

/// Polls `future`, and reports to `suspended` when it and everything in it is suspended.
async fn first(mut future: Boxed, suspended: Sender<()>) {
    // Some shapes poll a part of their children at a time.
    for _ in 0..3 {
        poll_fn(|cx| {
            assert!(future.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        tokio::task::yield_now().await;
    }
    suspended.send(()).unwrap();
    future.await;
}

async fn forever() {
    poll_fn(|cx| {
        let _registered = cx.waker().clone();
        Poll::<()>::Pending
    })
    .await;
}

#[traced]
async fn request() {
    forever().await;
}

#[traced("request {number}")]
async fn labelled(number: usize) {
    let _ = number;
    forever().await;
}

#[traced]
async fn wide(count: usize) {
    let mut all: FuturesUnordered<_> = (0..count).map(|_| request()).collect();
    while all.next().await.is_some() {}
}

#[traced]
async fn wide_labelled(count: usize) {
    let mut all: FuturesUnordered<_> = (0..count).map(labelled).collect();
    while all.next().await.is_some() {}
}

#[traced]
async fn joined(count: usize) {
    futures::future::join_all((0..count).map(labelled)).await;
}

fn deep(count: usize) -> Boxed {
    Box::pin(deeper(count))
}

#[traced("level {count}")]
async fn deeper(count: usize) {
    match count {
        0 => forever().await,
        _ => deep(count - 1).await,
    }
}

pub(crate) fn comb(count: usize) -> Boxed {
    Box::pin(combed(count))
}

#[traced]
async fn combed(count: usize) {
    match count {
        0 => forever().await,
        _ => {
            futures::join!(comb(count - 1), labelled(count));
        }
    }
}

/// A comb whose levels poll their children with wakers of their own.
pub(crate) fn unordered_comb(count: usize) -> Boxed {
    Box::pin(unordered(count))
}

#[traced]
async fn unordered(count: usize) {
    let mut all = FuturesUnordered::<Boxed>::new();
    all.push(Box::pin(labelled(count)));
    if count > 0 {
        all.push(unordered_comb(count - 1));
    }
    while all.next().await.is_some() {}
}

fn mixed(count: usize) -> Boxed {
    Box::pin(mixture(count))
}

#[traced]
async fn mixture(count: usize) {
    match (count, count % 3) {
        (0 | 1, _) => labelled(count).await,
        (_, 0) => {
            let mut all: FuturesUnordered<_> = (0..3).map(|_| mixed(count / 3)).collect();
            while all.next().await.is_some() {}
        }
        _ => {
            futures::join!(mixed(count / 2), mixed(count - count / 2));
        }
    }
}

/// Polls its children once, and then holds them without polling them.
#[traced]
async fn held(count: usize) {
    let mut all: Vec<Boxed> = (0..count).map(|_| Box::pin(request()) as Boxed).collect();
    let mut unpolled = all.iter_mut();
    poll_fn(|cx| {
        for one in unpolled.by_ref() {
            assert!(one.as_mut().poll(cx).is_pending());
        }
        let _registered = cx.waker().clone();
        Poll::<()>::Pending
    })
    .await;
}

#[traced]
async fn tasks(count: usize) {
    let all = (0..count).map(|number| tasktrace::spawn(labelled(number)));
    futures::future::join_all(all.collect::<Vec<_>>()).await;
}

fn chain(count: usize) -> Boxed {
    Box::pin(link(count))
}

/// Spawns a task that spawns and awaits the next, `count` times.
#[traced]
async fn link(count: usize) {
    match count {
        0 => forever().await,
        _ => tasktrace::spawn(chain(count - 1)).await.unwrap(),
    }
}
