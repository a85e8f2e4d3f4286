//! Tests that end, one way or the other.

use std::sync::atomic::Ordering;

use tasktrace::traced;
use tokio::task::yield_now;

use crate::hung::IS_ASLEEP;
use crate::support::is_wanted;

#[tasktrace::test]
async fn passes() {
    tokio::spawn(works()).await.unwrap();
}

#[traced]
async fn works() {
    yield_now().await;
}

#[tasktrace::test]
async fn panics() {
    if is_wanted() {
        calls(1).await;
    }
}

/// Not one of ours: only the panic hook sees it, which the first of ours has installed.
#[test]
fn plain() {
    if is_wanted() {
        while !IS_ASLEEP.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        panic!("plainly on purpose");
    }
}

#[traced("call {number}")]
async fn calls(number: u32) {
    yield_now().await;
    fails(number).await;
}

async fn fails(number: u32) {
    assert_eq!(number, 0, "on purpose");
}

/// In a task of its own.
#[tasktrace::test(flavor = "multi_thread", worker_threads = 1)]
async fn panics_elsewhere() {
    if is_wanted() {
        tokio::spawn(calls(2)).await.unwrap();
    }
}
