//! Tests methods, recursion, and functions that other attributes have rewritten.

use super::*;

#[test]
fn each_call_of_a_recursion_is_a_frame() {
    fn recurse(at: AwaitPoint, depth: usize) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(nested(at, depth))
    }

    async fn nested(at: AwaitPoint, depth: usize) {
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
            "each_call_of_a_recursion_is_a_frame::nested:+2",
            "  each_call_of_a_recursion_is_a_frame::nested:+2",
            "    each_call_of_a_recursion_is_a_frame::nested:+2",
            "      each_call_of_a_recursion_is_a_frame::nested:+0",
            "        tokio::time::sleep",
        ],
    );
}

#[test]
fn methods_and_generic_functions_are_frames() {
    struct Server<T>(T);

    trait Serve {
        async fn serve(&self, at: AwaitPoint);
    }

    impl<T> Serve for Server<T> {
        async fn serve(&self, at: AwaitPoint) {
            self.generic::<Option<T>>(at).await;
        }
    }

    impl<T> Server<T> {
        async fn generic<U>(&self, at: AwaitPoint) {
            at.next(line!());
            sleep(HOUR).await;
        }
    }

    async fn waits(at: AwaitPoint) {
        Server("").serve(at).await;
    }

    check(
        waits,
        &[
            "methods_and_generic_functions_are_frames::waits:+5",
            "  methods_and_generic_functions_are_frames::Server::serve:-7",
            "    methods_and_generic_functions_are_frames::Server::generic:+0",
            "      tokio::time::sleep",
        ],
    );
}

#[test]
fn methods_of_async_traits_are_frames() {
    #[async_trait::async_trait(?Send)]
    trait Serve {
        async fn serve(&self, at: AwaitPoint) {
            self.provided(at).await;
        }

        async fn provided(&self, at: AwaitPoint);
    }

    struct Server;

    #[async_trait::async_trait(?Send)]
    impl Serve for Server {
        async fn provided(&self, at: AwaitPoint) {
            at.next(line!());
            sleep(HOUR).await;
        }
    }

    async fn waits(at: AwaitPoint) {
        Server.serve(at).await;
    }

    check(
        waits,
        &[
            "methods_of_async_traits_are_frames::waits:+5",
            "  methods_of_async_traits_are_frames::Serve::serve:-12",
            "    methods_of_async_traits_are_frames::Server::provided:+0",
            "      tokio::time::sleep",
        ],
    );
}

#[test]
fn instrumented_functions_are_frames() {
    #[tracing::instrument(skip_all)]
    async fn outer(at: AwaitPoint) {
        inner(at).await;
    }

    #[tracing::instrument(skip_all, ret)]
    async fn inner(at: AwaitPoint) -> u8 {
        at.next(line!());
        sleep(HOUR).await;
        1
    }

    let expected = [
        "instrumented_functions_are_frames::outer:-6",
        "  instrumented_functions_are_frames::inner:+0",
        "    tokio::time::sleep",
    ];
    check(outer, &expected);
    // A subscriber has the span entered.
    let subscriber = tracing_subscriber::registry();
    tracing::subscriber::with_default(subscriber, || check(outer, &expected));
}

#[test]
fn instrumented_blocks_are_frames() {
    use tracing::Instrument;

    async fn waits(at: AwaitPoint) {
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
            "instrumented_blocks_are_frames::waits:+3",
            "  instrumented_blocks_are_frames::waits::{async block}:+0",
            "    tokio::time::sleep",
        ],
    );
}
