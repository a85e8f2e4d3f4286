//! Tests that children polled with wakers of their own are shown whole, in one capture.

use std::future::Future;

use futures::future::{join_all, select_all};
use futures::stream::{self, FuturesOrdered, FuturesUnordered};
use futures::{FutureExt, StreamExt};
use tasktrace::traced;
use tokio::sync::Notify;

use crate::support::{DrivenTask, outline};

/// A notification that is never sent.
static NEVER: Notify = Notify::const_new();

const LEAF: &str = "child(notified";

#[traced]
async fn child() {
    inner().await;
}

async fn inner() {
    NEVER.notified().await;
}

/// Captures the task several times, also when nothing has happened in between.
#[track_caller]
fn check<F: Future>(future: F, children: usize) {
    let mut task = DrivenTask::new(future);
    task.suspend();
    for _ in 0..3 {
        let trace = task.capture();
        let leaves = trace.leaves();
        let shown = outline(&trace);
        assert_eq!(
            leaves.len(),
            1,
            "there are leaves besides the children: {trace}"
        );
        assert!(leaves[0].name().ends_with("Notify::notified"), "{trace}");
        assert_eq!(leaves[0].count(), children, "{trace}");
        assert!(shown.contains("child(inner(notified"), "{shown}");
        assert!(!trace.to_string().contains("no waker"), "{trace}");
    }
    let snapshot = task.snapshot();
    let expected = match children {
        1 => "child".to_owned(),
        n => format!("child×{n}"),
    };
    // A future of a library has no name. Then the root frames are the children.
    let is_below = snapshot.contains(&format!("({expected})"));
    assert!(is_below || snapshot == expected, "{snapshot}");
}

#[test]
fn children_in_a_futures_unordered_are_shown() {
    check(
        async {
            let mut all: FuturesUnordered<_> = (0..3).map(|_| child()).collect();
            all.next().await;
        },
        3,
    );
    check(
        async {
            let mut all: FuturesOrdered<_> = (0..3).map(|_| child()).collect();
            all.next().await;
        },
        3,
    );
}

#[test]
fn children_in_a_buffered_stream_are_shown() {
    let children = || stream::iter(0..5).map(|_| child());
    check(async { children().buffer_unordered(3).next().await }, 3);
    check(async { children().buffered(2).next().await }, 2);
    check(stream::iter(0..5).for_each_concurrent(4, |_| child()), 4);
}

#[test]
fn children_in_join_all_are_shown() {
    check(async { join_all((0..100).map(|_| child())).await }, 100);
    check(async { join_all((0..3).map(|_| child())).await }, 3);
}

#[test]
fn children_in_select_all_are_shown() {
    check(
        async { select_all((0..3).map(|_| child().boxed_local())).await },
        3,
    );
}

#[test]
fn children_of_a_shared_future_are_shown() {
    check(async { child().shared().await }, 1);
}

#[test]
fn children_in_a_local_set_are_shown() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _context = runtime.enter();
    check(
        async {
            let set = tokio::task::LocalSet::new();
            set.spawn_local(child());
            set.spawn_local(child());
            set.await;
        },
        2,
    );
}

#[test]
fn children_in_a_join_set_in_a_local_set_are_shown() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _context = runtime.enter();
    let mut task = DrivenTask::new(async {
        let local = tokio::task::LocalSet::new();
        let joins = async {
            let mut set = tokio::task::JoinSet::new();
            set.spawn_local(child());
            set.spawn_local(child());
            set.join_next().await
        };
        local.run_until(joins).await
    });
    task.suspend();
    for _ in 0..3 {
        let trace = task.capture();
        let mut waits: Vec<_> = trace.leaves().iter().map(|leaf| leaf.count()).collect();
        waits.sort_unstable();
        assert_eq!(waits, [1, 2], "the set, and the children: {trace}");
        assert!(outline(&trace).contains("child(inner(notified"), "{trace}");
    }
}

#[test]
fn futures_concurrency() {
    use futures_concurrency::prelude::*;
    check(async { (child(), child()).join().await }, 2);
    check(async { vec![child(), child(), child()].join().await }, 3);
    check(async { [child(), child()].race().await }, 2);
    check(
        async {
            let streams = [child(), child()].map(|child| Box::pin(stream::once(child)));
            streams.merge().next().await
        },
        2,
    );
}

#[test]
fn children_of_children_are_shown() {
    #[traced]
    async fn child_of_children() {
        let mut all: FuturesUnordered<_> = (0..2).map(|_| child()).collect();
        all.next().await;
    }
    let mut task = DrivenTask::new(async {
        let mut all: FuturesUnordered<_> = (0..2).map(|_| child_of_children()).collect();
        all.next().await;
    });
    task.suspend();
    for _ in 0..3 {
        let trace = task.capture();
        assert_eq!(trace.leaves().len(), 1, "{trace}");
        assert_eq!(trace.leaves()[0].count(), 4, "{trace}");
    }
}

#[test]
fn children_are_shown_beside_another_branch_of_a_select() {
    let mut task = DrivenTask::new(async {
        let mut all: FuturesUnordered<_> = (0..2).map(|_| child()).collect();
        tokio::select! {
            _ = all.next() => {}
            () = NEVER.notified() => {}
        }
    });
    task.suspend();
    let trace = task.capture();
    assert_eq!(trace.leaves().len(), 2, "{trace}");
    assert!(
        outline(&trace).contains(LEAF.split('(').next().unwrap()),
        "{trace}"
    );
}

/// An untraced combinator without traced children is shown as a leaf.
#[test]
fn a_combinator_without_traced_children_is_a_leaf() {
    let mut task = DrivenTask::new(async {
        let mut traced: FuturesUnordered<_> = (0..2).map(|_| child()).collect();
        let mut plain: FuturesUnordered<_> = (0..2).map(|_| inner()).collect();
        futures::join!(traced.next(), plain.next())
    });
    task.suspend();
    let trace = task.capture();
    assert_eq!(trace.leaves().len(), 2, "{trace}");
    assert!(trace.to_string().contains("FuturesUnordered"), "{trace}");
}
