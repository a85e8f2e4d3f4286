//! Tests `join!` and `select!` of tokio and futures: each branch is a child of the frame that polls them.

use super::*;

const MODULE: &str = module_path!();

async fn left() {
    sleep(HOUR).await;
}

async fn right(notify: &Notify) {
    notify.notified().await;
}

const LEFT: u32 = line!() - 7;
const RIGHT: u32 = line!() - 4;

/// Asserts that `body` waits at one line for `left` and `right`, whichever branch it polls first.
#[track_caller]
fn check_branches<F: Future + 'static>(name: &str, body: impl FnOnce(AwaitPoint) -> F) {
    let (traces, line) = traces_of(body, 50);
    let first = traces[0].to_string();
    let expected = [
        format!("{MODULE}::{name}:{line}"),
        format!("  {MODULE}::left:{LEFT}"),
        "    tokio::time::sleep".to_owned(),
        format!("  {MODULE}::right:{RIGHT}"),
        "    tokio::sync::Notify::notified".to_owned(),
    ];
    let trace = &traces[0];
    assert_eq!(
        outline(trace).trim_end(),
        expected.join("\n"),
        "\n{trace}\n{trace:#}"
    );
    for trace in &traces {
        assert_eq!(trace.to_string(), first);
    }
}

#[test]
fn branches_of_tokio_join_are_children() {
    async fn waits(at: AwaitPoint) {
        let notify = Notify::new();
        at.next(line!());
        tokio::join!(left(), right(&notify));
    }
    check_branches("branches_of_tokio_join_are_children::waits", waits);
}

#[test]
fn branches_of_tokio_try_join_are_children() {
    async fn waits(at: AwaitPoint) {
        let notify = Notify::new();
        at.next(line!());
        let _ = tokio::try_join!(fallible(left()), fallible(right(&notify)));
    }

    fn fallible<F: Future<Output = ()>>(future: F) -> impl Future<Output = Result<(), ()>> {
        use futures::FutureExt;
        future.map(Ok)
    }
    check_branches("branches_of_tokio_try_join_are_children::waits", waits);
}

#[test]
fn branches_of_tokio_select_are_children() {
    async fn waits(at: AwaitPoint) {
        let notify = Notify::new();
        at.next(line!());
        tokio::select! {
            () = left() => {}
            () = right(&notify) => {}
        }
    }
    check_branches("branches_of_tokio_select_are_children::waits", waits);
}

#[test]
fn branches_of_tokio_select_of_references_are_children() {
    async fn waits(at: AwaitPoint) {
        let notify = Notify::new();
        let right = right(&notify);
        tokio::pin!(right);
        loop {
            at.next(line!());
            tokio::select! {
                () = left() => {}
                () = &mut right, if at.line() > 0 => {}
            }
        }
    }
    check_branches(
        "branches_of_tokio_select_of_references_are_children::waits",
        waits,
    );
}

#[test]
fn branches_of_futures_join_are_children() {
    async fn waits(at: AwaitPoint) {
        let notify = Notify::new();
        at.next(line!());
        futures::join!(left(), right(&notify));
    }
    check_branches("branches_of_futures_join_are_children::waits", waits);
}

#[test]
fn branches_of_futures_select_are_children() {
    async fn waits(at: AwaitPoint) {
        use futures::FutureExt;
        let notify = Notify::new();
        let left = left().fuse();
        let right = right(&notify).fuse();
        futures::pin_mut!(left, right);
        at.next(line!());
        futures::select! {
            () = left => {}
            () = right => {}
        }
    }
    check_branches("branches_of_futures_select_are_children::waits", waits);
}

#[test]
fn branches_of_the_join_function_are_children() {
    async fn waits(at: AwaitPoint) {
        let notify = Notify::new();
        at.next(line!());
        futures::future::join(left(), right(&notify)).await;
    }
    check_branches("branches_of_the_join_function_are_children::waits", waits);
}

#[test]
fn branches_of_the_select_function_are_children() {
    async fn waits(at: AwaitPoint) {
        let notify = Notify::new();
        let left = Box::pin(left());
        let right = Box::pin(right(&notify));
        at.next(line!());
        drop(futures::future::select(left, right).await);
    }
    check_branches("branches_of_the_select_function_are_children::waits", waits);
}

#[test]
fn async_blocks_in_branches_are_children() {
    async fn waits(at: AwaitPoint) {
        at.next(line!());
        tokio::join!(
            async {
                Notify::new().notified().await;
            },
            async {
                sleep(HOUR).await;
            }
        );
    }

    check(
        waits,
        &[
            "async_blocks_in_branches_are_children::waits:+0",
            "  async_blocks_in_branches_are_children::waits::{async block}:+2",
            "    tokio::sync::Notify::notified",
            "  async_blocks_in_branches_are_children::waits::{async block}:+5",
            "    tokio::time::sleep",
        ],
    );
}

/// A closure is no frame, and the function that waits for it is none of its leaves.
#[test]
fn a_function_that_also_waits_for_a_closure_says_so() {
    async fn alone(at: AwaitPoint) {
        let closure = poll_fn(|cx| {
            drop(cx.waker().clone());
            Poll::<()>::Pending
        });
        at.next(line!());
        closure.await;
    }

    async fn beside_another(at: AwaitPoint) {
        let closure = poll_fn(|cx| {
            drop(cx.waker().clone());
            Poll::<()>::Pending
        });
        at.next(line!());
        tokio::join!(closure, sleep(HOUR));
    }

    const ALSO: &str = "(also waits for something without a name)";
    let (trace, _) = trace_of(alone);
    assert!(!trace.to_string().contains(ALSO), "{trace}");
    let (trace, _) = trace_of(beside_another);
    let text = trace.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{trace}");
    assert!(lines[0].ends_with(ALSO), "{trace}");
    assert!(lines[1].contains("tokio::time::sleep"), "{trace}");
}

#[test]
fn a_future_without_a_waker_is_a_leaf() {
    async fn waits(at: AwaitPoint) {
        at.next(line!());
        std::future::pending::<()>().await;
    }

    let (trace, _) = trace_of(waits);
    assert_eq!(
        trace.frames()[0].name(),
        format!("{MODULE}::a_future_without_a_waker_is_a_leaf::waits")
    );
    assert_eq!(trace.leaves().len(), 1);
    assert!(trace.to_string().contains("no waker registered"), "{trace}");
}
