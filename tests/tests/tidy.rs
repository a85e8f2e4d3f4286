//! What is between a task and its leaves: every function of the program once, with the line of its
//! `.await`, and nothing else.

// What is tested is how such functions are shown.
#![allow(clippy::extra_unused_type_parameters, clippy::manual_async_fn)]

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use tasktrace_tests::{At, HOUR, outline, trace_of, traces_of};
use tokio::sync::Notify;
use tokio::time::sleep;

/// Asserts what a trace of `body` looks like. Lines are given as how far they are behind the line
/// that `body` says it waits at.
#[track_caller]
fn check<F: Future + 'static>(body: impl FnOnce(At) -> F, expected: &[&str]) {
    let (trace, line) = trace_of(body);
    assert_eq!(
        relative(&outline(&trace), line),
        expected.join("\n"),
        "\n{trace}\n{trace:#}"
    );
}

/// Replaces the lines in an outline by their distance from `line`, and the test's path by `test`.
fn relative(outline: &str, line: u32) -> String {
    let mut out = Vec::new();
    for frame in outline.lines() {
        let frame = match frame.rsplit_once(':') {
            Some((name, at)) if at.bytes().all(|c| c.is_ascii_digit()) => {
                let at: i64 = at.parse().unwrap();
                format!("{name}:{:+}", at - i64::from(line))
            }
            _ => frame.to_owned(),
        };
        out.push(frame.replace("tidy::", ""));
    }
    out.join("\n")
}

#[test]
fn calls() {
    mod inner {
        use super::*;

        pub(super) async fn outer(at: At) {
            middle(&at).await;
        }

        async fn middle(at: &At) {
            let at = at.clone();
            at.next(line!());
            sleep(HOUR).await;
        }
    }

    check(
        inner::outer,
        &[
            "calls::inner::outer:-6",
            "  calls::inner::middle:+0",
            "    tokio::time::sleep",
        ],
    );
}

#[test]
fn async_blocks() {
    async fn block(at: At) {
        async {
            at.next(line!());
            sleep(HOUR).await;
        }
        .await;
    }

    check(
        block,
        &[
            "async_blocks::block:+2",
            "  async_blocks::block::{async block}:+0",
            "    tokio::time::sleep",
        ],
    );
}

#[test]
fn async_blocks_in_async_blocks() {
    async fn block(at: At) {
        let inner = async {
            let inner = Box::pin(async {
                at.next(line!());
                sleep(HOUR).await;
            });
            inner.await;
        };
        inner.await;
    }

    check(
        block,
        &[
            "async_blocks_in_async_blocks::block:+4",
            "  async_blocks_in_async_blocks::block::{async block}:+2",
            "    async_blocks_in_async_blocks::block::{async block}:+0",
            "      tokio::time::sleep",
        ],
    );
}

#[test]
fn async_closures() {
    async fn call(at: At) {
        let closure = async |at: &At| {
            at.next(line!());
            sleep(HOUR).await;
        };
        closure(&at).await;
    }

    check(
        call,
        &[
            "async_closures::call:+2",
            "  async_closures::call::{async block}:+0",
            "    tokio::time::sleep",
        ],
    );
}

#[test]
fn functions_between() {
    async fn waits(at: At) {
        between(leaf(at)).await;
    }

    fn between(future: impl Future<Output = ()>) -> impl Future<Output = ()> {
        async move {
            future.await;
        }
    }

    async fn leaf(at: At) {
        at.next(line!());
        sleep(HOUR).await;
    }

    check(
        waits,
        &[
            "functions_between::waits:-11",
            "  functions_between::between:-6",
            "    functions_between::leaf:+0",
            "      tokio::time::sleep",
        ],
    );
}

#[test]
fn boxed_futures() {
    async fn waits(at: At) {
        let boxed: Pin<Box<dyn Future<Output = ()>>> = Box::pin(leaf(at));
        boxed.await;
    }

    async fn leaf(at: At) {
        at.next(line!());
        sleep(HOUR).await;
    }

    check(
        waits,
        &[
            "boxed_futures::waits:-5",
            "  boxed_futures::leaf:+0",
            "    tokio::time::sleep",
        ],
    );
}

#[test]
fn futures_by_hand() {
    struct ByHand<F>(Pin<Box<F>>);

    impl<F: Future> Future for ByHand<F> {
        type Output = F::Output;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
            self.0.as_mut().poll(cx)
        }
    }

    async fn waits(at: At) {
        at.next(line!());
        ByHand(Box::pin(sleep(HOUR))).await;
    }

    check(
        waits,
        &[
            "futures_by_hand::waits:+0",
            "  futures_by_hand::ByHand::poll:-6",
            "    tokio::time::sleep",
        ],
    );
}

#[test]
fn poll_functions() {
    async fn waits(at: At) {
        let mut sleep = Box::pin(sleep(HOUR));
        let sleep = poll_fn(|cx| {
            let sleep = sleep.as_mut();
            sleep.poll(cx)
        });
        at.next(line!());
        sleep.await;
    }

    check(waits, &["poll_functions::waits:+0", "  tokio::time::sleep"]);
}

#[test]
fn helpers_in_poll_functions() {
    async fn waits(at: At) {
        let mut sleep = Box::pin(sleep(HOUR));
        at.next(line!());
        poll_fn(|cx| helper(sleep.as_mut(), cx)).await;
    }

    fn helper<F: Future>(future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
        future.poll(cx)
    }

    check(
        waits,
        &[
            "helpers_in_poll_functions::waits:+0",
            "  helpers_in_poll_functions::helper:+4",
            "    tokio::time::sleep",
        ],
    );
}

#[test]
fn generated_streams() {
    async fn waits(at: At) {
        use futures::StreamExt;
        let stream = async_stream::stream! {
            at.next(line!());
            yield sleep(HOUR).await;
        };
        futures::pin_mut!(stream);
        stream.next().await;
    }

    check(
        waits,
        &[
            "generated_streams::waits:+3",
            "  generated_streams::waits::{async block}:+0",
            "    tokio::time::sleep",
        ],
    );
}

#[test]
fn unfolded_streams() {
    async fn waits(at: At) {
        use futures::StreamExt;
        let stream = futures::stream::unfold(at, async |at| {
            at.next(line!());
            Some((sleep(HOUR).await, at))
        });
        let mut stream = Box::pin(stream.map(|()| 1).fuse());
        stream.next().await;
    }

    check(
        waits,
        &[
            "unfolded_streams::waits:+3",
            "  unfolded_streams::waits::{async block}:+0",
            "    tokio::time::sleep",
        ],
    );
}

#[test]
fn recursion() {
    fn recurse(at: At, depth: usize) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(nested(at, depth))
    }

    async fn nested(at: At, depth: usize) {
        match depth {
            0 => {
                at.next(line!());
                sleep(HOUR).await;
            }
            _ => recurse(at, depth - 1).await,
        }
    }

    check(
        |at| recurse(at, 3),
        &[
            "recursion::nested:+2",
            "  recursion::nested:+2",
            "    recursion::nested:+2",
            "      recursion::nested:+0",
            "        tokio::time::sleep",
        ],
    );
}

#[test]
fn methods_and_generics() {
    struct Server<T>(T);

    trait Serve {
        async fn serve(&self, at: At);
    }

    impl<T> Serve for Server<T> {
        async fn serve(&self, at: At) {
            self.generic::<Option<T>>(at).await;
        }
    }

    impl<T> Server<T> {
        async fn generic<U>(&self, at: At) {
            at.next(line!());
            sleep(HOUR).await;
        }
    }

    async fn waits(at: At) {
        Server("").serve(at).await;
    }

    check(
        waits,
        &[
            "methods_and_generics::waits:+5",
            "  methods_and_generics::Server::serve:-7",
            "    methods_and_generics::Server::generic:+0",
            "      tokio::time::sleep",
        ],
    );
}

#[test]
fn async_trait_methods() {
    #[async_trait::async_trait(?Send)]
    trait Serve {
        async fn serve(&self, at: At) {
            self.provided(at).await;
        }

        async fn provided(&self, at: At);
    }

    struct Server;

    #[async_trait::async_trait(?Send)]
    impl Serve for Server {
        async fn provided(&self, at: At) {
            at.next(line!());
            sleep(HOUR).await;
        }
    }

    async fn waits(at: At) {
        Server.serve(at).await;
    }

    check(
        waits,
        &[
            "async_trait_methods::waits:+5",
            "  async_trait_methods::Serve::serve:-12",
            "    async_trait_methods::Server::provided:+0",
            "      tokio::time::sleep",
        ],
    );
}

#[test]
fn instrumented_functions() {
    #[tracing::instrument(skip_all)]
    async fn outer(at: At) {
        inner(at).await;
    }

    #[tracing::instrument(skip_all, ret)]
    async fn inner(at: At) -> u8 {
        at.next(line!());
        sleep(HOUR).await;
        1
    }

    let expected = [
        "instrumented_functions::outer:-6",
        "  instrumented_functions::inner:+0",
        "    tokio::time::sleep",
    ];
    check(outer, &expected);
    // With a subscriber, the span is entered.
    let subscriber = tracing_subscriber::registry();
    tracing::subscriber::with_default(subscriber, || check(outer, &expected));
}

#[test]
fn instrumented_blocks() {
    use tracing::Instrument;

    async fn waits(at: At) {
        async {
            at.next(line!());
            sleep(HOUR).await;
        }
        .instrument(tracing::info_span!("block"))
        .await;
    }

    check(
        waits,
        &[
            "instrumented_blocks::waits:+3",
            "  instrumented_blocks::waits::{async block}:+0",
            "    tokio::time::sleep",
        ],
    );
}

async fn left() {
    sleep(HOUR).await;
}

async fn right(notify: &Notify) {
    notify.notified().await;
}

const LEFT: u32 = line!() - 7;
const RIGHT: u32 = line!() - 4;

/// Asserts that `body` waits at one line for `left` and `right`, whatever the turn it takes.
#[track_caller]
fn check_branches<F: Future + 'static>(name: &str, body: impl FnOnce(At) -> F) {
    let (traces, line) = traces_of(body, 50);
    let first = traces[0].to_string();
    let expected = [
        format!("tidy::{name}:{line}"),
        format!("  tidy::left:{LEFT}"),
        "    tokio::time::sleep".to_owned(),
        format!("  tidy::right:{RIGHT}"),
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
fn tokio_join() {
    async fn waits(at: At) {
        let notify = Notify::new();
        at.next(line!());
        tokio::join!(left(), right(&notify));
    }
    check_branches("tokio_join::waits", waits);
}

#[test]
fn tokio_try_join() {
    async fn waits(at: At) {
        let notify = Notify::new();
        at.next(line!());
        let _ = tokio::try_join!(fallible(left()), fallible(right(&notify)));
    }

    fn fallible<F: Future<Output = ()>>(future: F) -> impl Future<Output = Result<(), ()>> {
        use futures::FutureExt;
        future.map(Ok)
    }
    check_branches("tokio_try_join::waits", waits);
}

#[test]
fn tokio_select() {
    async fn waits(at: At) {
        let notify = Notify::new();
        at.next(line!());
        tokio::select! {
            () = left() => {}
            () = right(&notify) => {}
        }
    }
    check_branches("tokio_select::waits", waits);
}

#[test]
fn tokio_select_of_references() {
    async fn waits(at: At) {
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
    check_branches("tokio_select_of_references::waits", waits);
}

#[test]
fn futures_join() {
    async fn waits(at: At) {
        let notify = Notify::new();
        at.next(line!());
        futures::join!(left(), right(&notify));
    }
    check_branches("futures_join::waits", waits);
}

#[test]
fn futures_select() {
    async fn waits(at: At) {
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
    check_branches("futures_select::waits", waits);
}

#[test]
fn futures_future_join() {
    async fn waits(at: At) {
        let notify = Notify::new();
        at.next(line!());
        futures::future::join(left(), right(&notify)).await;
    }
    check_branches("futures_future_join::waits", waits);
}

#[test]
fn futures_future_select() {
    async fn waits(at: At) {
        let notify = Notify::new();
        let left = Box::pin(left());
        let right = Box::pin(right(&notify));
        at.next(line!());
        drop(futures::future::select(left, right).await);
    }
    check_branches("futures_future_select::waits", waits);
}

#[test]
fn async_blocks_in_branches() {
    async fn waits(at: At) {
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
            "async_blocks_in_branches::waits:+0",
            "  async_blocks_in_branches::waits::{async block}:+2",
            "    tokio::sync::Notify::notified",
            "  async_blocks_in_branches::waits::{async block}:+5",
            "    tokio::time::sleep",
        ],
    );
}

#[test]
fn no_waker() {
    async fn waits(at: At) {
        at.next(line!());
        std::future::pending::<()>().await;
    }

    let (trace, _) = trace_of(waits);
    assert_eq!(trace.frames()[0].name(), "tidy::no_waker::waits");
    assert_eq!(trace.leaves().len(), 1);
    assert!(trace.to_string().contains("no waker registered"), "{trace}");
}
