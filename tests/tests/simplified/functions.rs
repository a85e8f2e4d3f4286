//! Functions, blocks, closures and futures written by hand: each is one frame.

use super::*;

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
