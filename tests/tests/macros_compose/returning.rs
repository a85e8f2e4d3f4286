//! Tests functions that return a future and have `#[instrument]`.

use super::*;
use futures::future::BoxFuture;

#[instrument]
#[traced("{value}", crate = probe)]
fn above(value: u32) -> BoxFuture<'static, u32> {
    if value == 0 {
        return Box::pin(std::future::ready(0));
    }
    Box::pin(async move { value })
}

#[traced("{value}", crate = probe)]
#[instrument]
fn below(value: u32) -> impl Future<Output = u32> {
    std::future::ready(value)
}

#[test]
fn returned_futures_are_instrumented_and_traced_in_either_order() {
    collect_spans();
    futures::executor::block_on(async {
        assert_eq!((above(0).await, above(1).await), (0, 1));
        assert_eq!(below(2).await, 2);
    });
    assert_eq!(probe::labels(), ["0", "1", "2"]);
}
