//! Tests the attributes in a crate of edition 2021.
#![cfg(test)]
#![deny(warnings, rust_2018_idioms, clippy::all, clippy::pedantic)]

use std::future::Future;
use std::pin::Pin;

use futures::executor::block_on;
use futures::FutureExt;
use tasktrace::traced;

#[traced]
async fn never() -> ! {
    loop {
        futures::pending!();
    }
}

#[traced]
async fn question_mark(text: &str) -> Result<u32, Box<dyn std::error::Error>> {
    let number = text.parse()?;
    if number == 0 {
        return Err("zero".into());
    }
    Ok(number)
}

#[traced]
async fn opaque(text: &str) -> impl Iterator<Item = u8> + '_ {
    text.bytes()
}

/// In edition 2021 the body of an unsafe function may do unsafe operations without an `unsafe` block.
#[expect(unsafe_op_in_unsafe_fn, reason = "a lint of this workspace")]
#[traced]
async unsafe fn not_safe(value: &[u32], index: usize) -> u32 {
    *value.get_unchecked(index)
}

#[traced]
fn boxed(value: &u32) -> Pin<Box<dyn Future<Output = u32> + Send + '_>> {
    Box::pin(async move { *value })
}

#[traced("{} and {number}", text.trim(), wait_limit = "5s")]
async fn labelled(text: &str, number: u32) -> usize {
    text.len() + number as usize
}

#[traced("{}", value)]
fn returned(value: &u32) -> Pin<Box<dyn Future<Output = u32> + Send + '_>> {
    if *value == 0 {
        return Box::pin(async { 1 });
    }
    Box::pin(std::future::ready(*value))
}

#[traced]
fn opaque_returned(value: &u32) -> impl Future<Output = u32> + '_ {
    if *value == 0 {
        return std::future::ready(1);
    }
    std::future::ready(*value)
}

#[traced]
mod module {
    pub(crate) struct Type(pub(crate) u32);

    impl Type {
        pub(crate) async fn method(&self) -> u32 {
            self.0
        }

        #[tasktrace::traced("{}", self.0)]
        pub(crate) async fn labelled(&mut self) -> u32 {
            self.0 += 1;
            self.0
        }
    }

    #[async_trait::async_trait]
    impl super::Trait for Type {
        async fn required(&self) -> u32 {
            self.method().await
        }
    }
}

#[async_trait::async_trait]
trait Trait {
    #[traced]
    async fn provided(&self) -> u32 {
        self.required().await
    }

    async fn required(&self) -> u32;
}

#[async_trait::async_trait]
impl Trait for u32 {
    #[traced]
    async fn required(&self) -> u32 {
        *self
    }
}

#[tasktrace::main]
async fn on_tokio() -> Result<u32, Box<dyn std::error::Error>> {
    tokio::task::yield_now().await;
    question_mark("1").await
}

#[tasktrace::main(block_on = block_on)]
async fn on_futures(text: &str) -> Result<u32, Box<dyn std::error::Error>> {
    question_mark(text).await
}

#[tasktrace::main]
async fn does_not_return() -> ! {
    panic!("the only way out")
}

#[tasktrace::test]
async fn functions_of_every_form_work_in_edition_2021() {
    assert_eq!(question_mark("1").await.ok(), Some(1));
    assert_eq!(question_mark("0").await.unwrap_err().to_string(), "zero");
    assert_eq!(opaque("ab").await.count(), 2);
    // SAFETY: the index that is passed is smaller than the length of the slice.
    assert_eq!(unsafe { not_safe(&[1, 2], 1) }.await, 2);
    assert_eq!(boxed(&3).await, 3);
    assert_eq!(4.provided().await, 4);
    assert_eq!(labelled("ab ", 1).await, 4);
    assert_eq!(returned(&0).await + returned(&2).await, 3);
    assert_eq!(opaque_returned(&0).await, 1);
    assert_eq!(opaque_returned(&2).await, 2);
    let mut value = module::Type(5);
    assert_eq!(value.provided().await, 5);
    assert_eq!(value.labelled().await, 6);
    assert_eq!(never().now_or_never().map(|never| never), None);
}

#[tasktrace::main(dump_on_signal = "USR2", flavor = "current_thread")]
async fn told_to_dump() -> u32 {
    tokio::task::yield_now().await;
    3
}

#[tasktrace::test(timeout = "30s")]
async fn a_test_with_a_limit_may_return_early() -> Result<(), Box<dyn std::error::Error>> {
    tokio::task::yield_now().await;
    if question_mark("1").await? == 1 {
        return Ok(());
    }
    Err("not one".into())
}

#[tasktrace::test(timeout = "none", dump_on_signal, block_on = block_on)]
async fn a_test_without_a_limit_returns_its_result() -> Result<(), Box<dyn std::error::Error>> {
    question_mark("1").await.map(drop)
}

#[tasktrace::test(timeout = "1m")]
#[traced("{}", 1)]
#[should_panic(expected = "the only way out")]
async fn a_test_with_a_limit_can_be_traced() {
    assert_eq!(limited_name().await, "", "the only way out");
}

#[traced(wait_limit = "1.5s")]
async fn limited_name() -> &'static str {
    "limited"
}

#[test]
fn entry_points_work_in_edition_2021() {
    assert_eq!(told_to_dump(), 3);
    assert_eq!(on_tokio().ok(), Some(1));
    assert_eq!(on_futures("2").ok(), Some(2));
}

#[test]
#[should_panic(expected = "the only way out")]
fn an_entry_point_may_never_return() {
    does_not_return()
}
