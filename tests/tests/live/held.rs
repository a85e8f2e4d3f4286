//! Tests the note on frames that are alive, but not polled.

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
    // `other` suspends once, so that in one poll both frames are polled.
    other().await;
    held.await;
}

#[test]
fn only_the_outermost_held_frame_is_marked() {
    let mut task = DrivenTask::new(holder());
    task.suspend();
    // The first poll of the task polls both frames.
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
        // The held frame is below the line at which its holder waits.
        assert!(
            outline(&trace).starts_with("holder(held!(deep) other("),
            "{}",
            outline(&trace)
        );
    }
}

#[test]
fn children_that_wait_for_their_own_wakers_are_not_marked_as_held() {
    use futures::StreamExt;
    use futures::stream::FuturesUnordered;

    let mut task = DrivenTask::new(async {
        let mut all: FuturesUnordered<_> = (0..3).map(|_| other()).collect();
        all.next().await;
    });
    task.suspend();
    // These two polls of the task poll no child.
    task.suspend();
    task.suspend();
    assert!(!task.snapshot().contains('!'), "{}", task.snapshot());
    let trace = task.capture();
    assert!(!outline(&trace).contains('!'), "{trace}");
}

#[test]
fn a_forgotten_frame_is_marked_as_held() {
    let mut task = DrivenTask::new(async {
        let mut forgotten = Box::pin(other());
        let first = std::future::poll_fn(|cx| Poll::Ready(forgotten.as_mut().poll(cx))).await;
        assert!(first.is_pending());
        std::mem::forget(forgotten);
        wait_for_ever().await;
    });
    task.suspend();
    task.suspend();
    // The forgotten future is never dropped, so its frame is alive, and it is not polled.
    assert!(task.snapshot().contains("other!"), "{}", task.snapshot());
}

#[test]
fn a_frame_that_the_current_poll_has_not_reached_is_not_marked_as_held() {
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
