//! Tests functions with a limit on their waiting time.

use std::pin::Pin;
use std::time::Duration;

use futures::executor::block_on;
use tasktrace::traced;
use tasktrace_tests::probe;

use crate::pause;

#[traced(wait_limit = "5s", crate = probe)]
async fn alone() -> u32 {
    pause().await;
    1
}

#[traced(crate = probe, wait_limit = "1m30s", "{} {id}", id + 1)]
async fn before_a_label(id: u32) {
    pause().await;
}

#[traced("{text} {}", text.len(), wait_limit = "1.5s", crate = probe)]
async fn after_a_label(text: &str) {
    pause().await;
}

#[traced("label", crate = probe, wait_limit = "1ns",)]
async fn after_the_crate() {}

#[traced(name = "name", wait_limit = "18446744073709551615ns", crate = probe)]
async fn named() {}

/// Names `stalled_after` in its label, as an argument and not as the option.
#[traced("{} {limit}", stalled_after, limit = "5s", crate = probe)]
async fn argument(stalled_after: u32) {
    pause().await;
}

#[traced(wait_limit = "2ms", crate = probe)]
fn block(value: &u32) -> Pin<Box<dyn Future<Output = u32> + Send + '_>> {
    Box::pin(async move { *value })
}

#[traced(wait_limit = "3us", crate = probe)]
fn returned(value: u32) -> impl Future<Output = u32> {
    if value == 0 {
        return std::future::ready(1);
    }
    std::future::ready(value)
}

#[traced(crate = probe)]
mod module {
    use super::*;

    pub(super) async fn unlimited() {
        limited().await;
    }

    #[traced(wait_limit = "4h")]
    async fn limited() {
        pause().await;
    }
}

macro_rules! from_a_macro {
    ($name:ident, $duration:literal) => {
        #[traced(wait_limit = $duration, crate = probe)]
        async fn $name() {}
    };
}

from_a_macro!(by_macro, "6d");

/// Uses the runtime crate itself instead of the probe.
#[traced("{value}", wait_limit = "7min")]
async fn of_the_runtime(value: u32) -> u32 {
    pause().await;
    value
}

#[test]
fn each_call_has_the_limit_of_its_function() {
    block_on(async {
        assert_eq!(alone().await, 1);
        before_a_label(2).await;
        after_a_label("ab").await;
        after_the_crate().await;
        named().await;
        argument(3).await;
        assert_eq!(block(&4).await, 4);
        assert_eq!(returned(0).await + returned(5).await, 6);
        module::unlimited().await;
        by_macro().await;
        assert_eq!(of_the_runtime(7).await, 7);
    });
    assert_eq!(
        probe::limits(),
        [
            Duration::from_secs(5),
            Duration::from_secs(90),
            Duration::from_millis(1500),
            Duration::from_nanos(1),
            Duration::from_nanos(u64::MAX),
            Duration::from_millis(2),
            Duration::from_micros(3),
            Duration::from_micros(3),
            Duration::from_secs(4 * 60 * 60),
            Duration::from_secs(6 * 24 * 60 * 60),
        ]
    );
    assert_eq!(probe::labels(), ["3 2", "ab 2", "3 5s"]);
    let names: Vec<_> = probe::entered()
        .into_iter()
        .filter_map(|entered| entered.name)
        .collect();
    assert_eq!(names, ["label", "name"]);
}
