//! Tasks that wait for futures inside of other futures.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use futures::future::{FutureExt, join_all, select_all};
use futures::stream::{self, FuturesOrdered, FuturesUnordered};
use tokio::task::JoinSet;

use crate::arrive;

/// The number of tasks that [`spawn`] starts, with those that they start.
pub const TASKS: usize = 18;

/// Starts the tasks.
pub fn spawn() {
    tokio::spawn(unordered());
    tokio::spawn(selecting());
    tokio::spawn(joining());
    tokio::spawn(boxed());
    tokio::spawn(by_trait(Box::new(Shop { items: 3 })));
    tokio::spawn(timed());
    tokio::spawn(all());
    tokio::spawn(set());
    tokio::spawn(recursive(5));
    tokio::spawn(async {
        arrive();
        nap(1).await; // await: block
    });
    tokio::spawn(generic(vec![1_u8, 2]));
    tokio::spawn(buffered());
    tokio::spawn(ordered());
    tokio::spawn(any());
    tokio::spawn(by_reference());
    tokio::spawn(by_hand());
    tokio::spawn(Box::pin(shared()) as Pin<Box<dyn Future<Output = ()> + Send>>);
}

/// The leaf of all of them.
async fn nap(number: u64) {
    tokio::time::sleep(Duration::from_secs(3600 + number)).await; // await: nap
}

async fn unordered() {
    let mut children: FuturesUnordered<_> = (0..3).map(child).collect();
    arrive();
    loop {
        let number = children.next().await; // await: unordered
        if number.is_none() {
            break;
        }
    }
}

async fn child(number: u64) -> u64 {
    nap(number).await; // await: child
    number
}

// next line, await: selecting
async fn selecting() {
    arrive();
    let number = tokio::select! {
        () = nap(1) => 1,
        number = child(2) => number,
    };
    std::hint::black_box(number);
}

// next line, await: joining
async fn joining() {
    arrive();
    let numbers = tokio::join!(nap(1), child(2));
    std::hint::black_box(numbers);
}

async fn boxed() {
    let future: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(nap(1));
    arrive();
    future.await; // await: boxed
}

#[async_trait::async_trait]
trait Restock {
    async fn restock(&self, count: u64);
}

struct Shop {
    items: u64,
}

#[async_trait::async_trait]
impl Restock for Shop {
    async fn restock(&self, count: u64) {
        nap(self.items + count).await; // await: restock
    }
}

async fn by_trait(shop: Box<dyn Restock + Send + Sync>) {
    arrive();
    shop.restock(2).await; // await: by_trait
}

async fn timed() {
    arrive();
    let result = tokio::time::timeout(Duration::from_secs(1800), nap(1)).await; // await: timed
    let _ = std::hint::black_box(result);
}

async fn all() {
    arrive();
    join_all((0..2).map(child)).await; // await: all
}

async fn set() {
    let mut set = JoinSet::new();
    set.spawn(async {
        arrive();
        nap(9).await;
    });
    arrive();
    set.join_next().await; // await: set
}

fn recursive(depth: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        match depth {
            0 => {
                arrive();
                nap(0).await; // await: recursion ends
            }
            depth => recursive(depth - 1).await, // await: recursion
        }
    })
}

async fn generic<T: Send>(value: Vec<T>) {
    arrive();
    nap(value.len() as u64).await; // await: generic
    drop(value);
}

async fn shared() {
    arrive();
    nap(1).boxed().shared().await; // await: shared
}

async fn buffered() {
    let children = stream::iter(0..5).map(child).buffer_unordered(2);
    arrive();
    children.for_each(|_| async {}).await; // await: buffered
}

async fn ordered() {
    let mut children: FuturesOrdered<_> = (0..2).map(child).collect();
    arrive();
    children.next().await; // await: ordered
}

async fn any() {
    let children: Vec<_> = (0..2).map(|number| Box::pin(child(number))).collect();
    arrive();
    select_all(children).await; // await: any
}

async fn by_reference() {
    let mut nap = std::pin::pin!(nap(1));
    arrive();
    nap.as_mut().await; // await: by_reference
}

/// A future written by hand.
struct Counted<F> {
    polls: u64,
    inner: Pin<Box<F>>,
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.polls += 1;
        self.inner.as_mut().poll(context)
    }
}

async fn by_hand() {
    let inner = Box::pin(nap(1));
    arrive();
    Counted { polls: 0, inner }.await; // await: by_hand
}
