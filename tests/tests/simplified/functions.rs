//! Tests functions, blocks, closures and hand-written futures: each is one frame.

use super::*;

#[test]
fn each_call_is_a_frame() {
    mod inner {
        use super::*;

        pub(super) async fn outer(at: AwaitPoint) {
            middle(&at).await;
        }

        async fn middle(at: &AwaitPoint) {
            let at = at.clone();
            at.next(line!());
            sleep(HOUR).await;
        }
    }

    check(
        inner::outer,
        &[
            "each_call_is_a_frame::inner::outer:-6",
            "  each_call_is_a_frame::inner::middle:+0",
            "    tokio::time::sleep",
        ],
    );
}

#[test]
fn an_async_block_is_a_frame() {
    async fn block(at: AwaitPoint) {
        async {
            at.next(line!());
            sleep(HOUR).await;
        }
        .await;
    }

    check(
        block,
        &[
            "an_async_block_is_a_frame::block:+2",
            "  an_async_block_is_a_frame::block::{async block}:+0",
            "    tokio::time::sleep",
        ],
    );
}

#[test]
fn nested_async_blocks_are_frames() {
    async fn block(at: AwaitPoint) {
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
            "nested_async_blocks_are_frames::block:+4",
            "  nested_async_blocks_are_frames::block::{async block}:+2",
            "    nested_async_blocks_are_frames::block::{async block}:+0",
            "      tokio::time::sleep",
        ],
    );
}

#[test]
fn an_async_closure_is_a_frame() {
    async fn call(at: AwaitPoint) {
        let closure = async |at: &AwaitPoint| {
            at.next(line!());
            sleep(HOUR).await;
        };
        closure(&at).await;
    }

    check(
        call,
        &[
            "an_async_closure_is_a_frame::call:+2",
            "  an_async_closure_is_a_frame::call::{async block}:+0",
            "    tokio::time::sleep",
        ],
    );
}

#[test]
fn functions_that_return_futures_are_frames() {
    async fn waits(at: AwaitPoint) {
        between(leaf(at)).await;
    }

    fn between(future: impl Future<Output = ()>) -> impl Future<Output = ()> {
        async move {
            future.await;
        }
    }

    async fn leaf(at: AwaitPoint) {
        at.next(line!());
        sleep(HOUR).await;
    }

    check(
        waits,
        &[
            "functions_that_return_futures_are_frames::waits:-11",
            "  functions_that_return_futures_are_frames::between:-6",
            "    functions_that_return_futures_are_frames::leaf:+0",
            "      tokio::time::sleep",
        ],
    );
}

#[test]
fn a_boxed_future_is_one_frame() {
    async fn waits(at: AwaitPoint) {
        let boxed: Pin<Box<dyn Future<Output = ()>>> = Box::pin(leaf(at));
        boxed.await;
    }

    async fn leaf(at: AwaitPoint) {
        at.next(line!());
        sleep(HOUR).await;
    }

    check(
        waits,
        &[
            "a_boxed_future_is_one_frame::waits:-5",
            "  a_boxed_future_is_one_frame::leaf:+0",
            "    tokio::time::sleep",
        ],
    );
}

#[test]
fn a_hand_written_future_is_a_frame() {
    struct ByHand<F>(Pin<Box<F>>);

    impl<F: Future> Future for ByHand<F> {
        type Output = F::Output;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
            self.0.as_mut().poll(cx)
        }
    }

    async fn waits(at: AwaitPoint) {
        at.next(line!());
        ByHand(Box::pin(sleep(HOUR))).await;
    }

    check(
        waits,
        &[
            "a_hand_written_future_is_a_frame::waits:+0",
            "  a_hand_written_future_is_a_frame::ByHand::poll:-6",
            "    tokio::time::sleep",
        ],
    );
}

#[test]
fn the_function_around_poll_fn_is_a_frame() {
    async fn waits(at: AwaitPoint) {
        let mut sleep = Box::pin(sleep(HOUR));
        let sleep = poll_fn(|cx| {
            let sleep = sleep.as_mut();
            sleep.poll(cx)
        });
        at.next(line!());
        sleep.await;
    }

    check(
        waits,
        &[
            "the_function_around_poll_fn_is_a_frame::waits:+0",
            "  tokio::time::sleep",
        ],
    );
}

#[test]
fn helpers_in_poll_functions_are_frames() {
    async fn waits(at: AwaitPoint) {
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
            "helpers_in_poll_functions_are_frames::waits:+0",
            "  helpers_in_poll_functions_are_frames::helper:+4",
            "    tokio::time::sleep",
        ],
    );
}
