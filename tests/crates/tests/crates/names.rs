//! Tests that tasks are named after the program's function in their future, through all wrappers.

use std::future::Future;

use futures::{FutureExt, StreamExt};
use tasktrace_crates::HOUR;
use tracing::Instrument;

async fn forever() {
    std::future::pending::<()>().await;
}

async fn generic<F: Future<Output = ()>>(future: F) {
    future.await;
}

trait Plugin {
    fn start(&self) -> impl Future<Output = ()> + Send;
}

struct Named<T>(T);

#[tasktrace::traced]
impl<T: Send + Sync> Plugin for Named<T> {
    async fn start(&self) {
        let _ = &self.0;
        forever().await;
    }
}

#[test]
fn tasks_are_named_after_the_function_in_their_future() {
    #[tasktrace::traced]
    async fn inner() {
        forever().await;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let text = runtime.block_on(async {
        let mut tasks = vec![
            tasktrace::spawn(forever().boxed()),
            tasktrace::spawn(async { forever().await }.instrument(tracing::info_span!("conn"))),
            tasktrace::spawn(tokio::time::timeout(HOUR, generic(Box::pin(forever()))).map(drop)),
            tasktrace::spawn(tokio::task::unconstrained(forever())),
            tasktrace::spawn(futures::stream::iter(0..3).for_each(|_| forever())),
            tasktrace::spawn(tokio::time::sleep(HOUR)),
        ];
        let plain = [
            tokio::spawn(inner()),
            tokio::spawn(async { Named(vec![1_u8]).start().await }),
        ];
        tokio::task::yield_now().await;
        let text = format!("{}\n{}", tasktrace::snapshot(), tasktrace::dump().await);
        tasks.drain(..).for_each(|task| task.abort());
        plain.iter().for_each(tokio::task::JoinHandle::abort);
        text
    });
    for name in [
        "names::forever",
        "names::tasks_are_named_after_the_function_in_their_future",
        "names::generic",
        "names::tasks_are_named_after_the_function_in_their_future::inner",
        "names::Named::start",
        "tokio::time::sleep::Sleep",
        "(spawned at tests/crates/names.rs:",
    ] {
        assert!(text.contains(name), "no {name} in\n{text}");
    }
    for part in [
        "Pin",
        "Box",
        "Instrumented",
        "Timeout",
        "{{",
        "<",
        "Unconstrained",
        "ForEach",
    ] {
        assert!(!text.contains(part), "{part} in\n{text}");
    }
}
