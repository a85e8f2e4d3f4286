//! Methods, recursion, and what other attributes make of functions.

use super::*;

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
