//! Tests functions whose future is an `async` block.

use std::pin::Pin;

use futures::executor::block_on;
use tasktrace::traced;

use crate::pause;

#[traced]
fn unboxed(value: &u32) -> impl Future<Output = u32> {
    let value = value + 1;
    async move {
        pause().await;
        value
    }
}

#[traced]
fn boxed(value: &u32) -> Pin<Box<dyn Future<Output = u32> + Send + '_>> {
    let one = 1;
    Box::pin(async move {
        pause().await;
        value + one
    })
}

#[traced]
fn boxed_by_path() -> Pin<Box<dyn Future<Output = u32>>> {
    ::std::boxed::Box::pin(async { 1 })
}

#[test]
fn async_blocks_return_what_they_would_without_the_attribute() {
    assert_eq!(block_on(unboxed(&1)), 2);
    assert_eq!(block_on(boxed(&1)), 2);
    assert_eq!(block_on(boxed_by_path()), 1);
}
