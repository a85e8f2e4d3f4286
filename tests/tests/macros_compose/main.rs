//! Tests the attributes beside those of tokio, tracing and async-trait, in either order.
#![deny(warnings, clippy::all, clippy::pedantic)]

use std::cell::Cell;
use std::process::ExitCode;
use std::sync::Once;
use std::time::Duration;

use async_trait::async_trait;
use tasktrace::traced;
use tasktrace_tests::probe::{self, Kind};
use tokio::runtime::{Handle, RuntimeFlavor};
use tracing::instrument;
use tracing_subscriber::Registry;

fn frame(name: &str) -> (Kind, String) {
    (Kind::Frame, name.to_owned())
}

fn task(name: &str) -> (Kind, String) {
    (Kind::Task, name.to_owned())
}

/// Lets all threads of this process collect spans from now on. A subscriber of one thread would not do: the first thread
/// that reaches a span decides if it is wanted, and that may be the thread of another test.
fn collect_spans() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(Registry::default()).expect("it is the first");
    });
}

/// Returns the name of the `tracing` span that is entered after the task was suspended.
async fn span_after_a_pause() -> Option<&'static str> {
    tokio::task::yield_now().await;
    tracing::Span::current()
        .metadata()
        .map(tracing::Metadata::name)
}

mod tokio_attributes;

mod other_runtimes;

mod instrumented;

mod async_traits;

mod labels;

mod containers;

mod returning;

mod on_tokio;

mod on_another_executor;

mod outputs;

mod both;
