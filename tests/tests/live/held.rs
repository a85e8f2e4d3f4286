//! Frames that are alive, but not polled.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use tasktrace::{Wait, current, traced};

use crate::support::{DrivenTask, frames, outline, wait_for_ever};

#[traced]
async fn held() {
    deep().await;
}

#[traced]
async fn deep() {
    wait_for_ever().await;
}

#[traced]
async fn other() {
    wait_for_ever().await;
}

/// Polls `held` once, and then only `other`.
#[traced]
async fn holder() {
    let mut held = pin!(held());
    let first = std::future::poll_fn(|cx| Poll::Ready(held.as_mut().poll(cx))).await;
    assert!(first.is_pending());
    // Suspends once, so that there is a poll in which nothing is held yet.
    other().await;
    held.await;
}

#[test]
fn is_said_of_the_outermost() {
    let mut task = DrivenTask::new(holder());
    task.suspend();
    // In the first poll both were polled.
    assert_eq!(task.snapshot(), "holder(held(deep) other)");
    task.suspend();
    assert_eq!(task.snapshot(), "holder(held!(deep) other)");

    for _ in 0..2 {
        let trace = task.capture();
        let held: Vec<_> = frames(&trace)
            .into_iter()
            .filter(|frame| frame.wait() == Some(Wait::NotPolled))
            .collect();
        assert_eq!(held.len(), 1, "{trace}");
        assert!(held[0].name().ends_with("held::held"), "{trace}");
        assert!(held[0].not_polled_for().is_some());
        assert!(held[0].age().is_some());
        assert!(
            trace.to_string().contains("held, but not polled"),
            "{trace}"
        );
        // It is below the very line at which its holder waits.
        assert!(
            outline(&trace).starts_with("holder(held!(deep) other("),
            "{}",
            outline(&trace)
        );
    }
}

#[test]
fn not_of_what_waits_for_its_own_waker() {
    use futures::StreamExt;
    use futures::stream::FuturesUnordered;

    let mut task = DrivenTask::new(async {
        let mut all: FuturesUnordered<_> = (0..3).map(|_| other()).collect();
        all.next().await;
    });
    task.suspend();
    // No child is polled in these.
    task.suspend();
    task.suspend();
    assert!(!task.snapshot().contains('!'), "{}", task.snapshot());
    let trace = task.capture();
    assert!(!outline(&trace).contains('!'), "{trace}");
}

#[test]
fn not_of_what_is_forgotten_with_its_task() {
    let mut task = DrivenTask::new(async {
        let mut forgotten = Box::pin(other());
        let first = std::future::poll_fn(|cx| Poll::Ready(forgotten.as_mut().poll(cx))).await;
        assert!(first.is_pending());
        std::mem::forget(forgotten);
        wait_for_ever().await;
    });
    task.suspend();
    task.suspend();
    // Nobody will ever drop it, so it is alive, and it is not polled: that is the truth.
    assert!(task.snapshot().contains("other!"), "{}", task.snapshot());
}

#[test]
fn not_of_what_a_poll_has_yet_to_come_to() {
    let mut seen = Vec::new();
    let mut task = DrivenTask::new(async {
        let mut other = pin!(other());
        std::future::poll_fn(|cx| {
            seen.push(current().unwrap().snapshot());
            other.as_mut().poll(cx)
        })
        .await;
    });
    task.suspend();
    task.suspend();
    task.capture();
    drop(task);
    assert_eq!(seen.len(), 3);
    for snapshot in &seen {
        assert!(!outline(snapshot).contains('!'), "{snapshot}");
    }
    assert!(seen[2].contains("other"));
}
