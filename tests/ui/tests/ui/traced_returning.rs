//! Tests that errors in functions that return a future have the same places as without the attribute.
#![deny(unused, unreachable_code)]

use std::future::{Ready, ready};
use std::pin::Pin;
use tasktrace::traced;

type Boxed<'a> = Pin<Box<dyn Future<Output = u32> + Send + 'a>>;

#[traced]
fn mismatch() -> Pin<Box<dyn Future<Output = u32>>> {
    Box::pin(ready("text"))
}

#[traced]
fn mismatch_early(early: bool) -> Pin<Box<dyn Future<Output = u32>>> {
    if early {
        return 5;
    }
    Box::pin(ready(1))
}

#[traced]
fn no_future() -> impl Future<Output = u32> {
    5
}

#[traced]
fn other_output() -> impl Future<Output = u32> {
    ready("text")
}

#[traced]
fn two_types(early: bool) -> impl Future<Output = u32> {
    if early {
        return Box::pin(ready(1));
    }
    ready(2)
}

#[traced]
fn not_send(value: std::rc::Rc<u32>) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    Box::pin(forward(value))
}

async fn forward(value: std::rc::Rc<u32>) -> u32 {
    *value
}

#[traced]
fn too_short(value: &u32) -> Pin<Box<dyn Future<Output = u32> + Send + 'static>> {
    Box::pin(borrow(value))
}

async fn borrow(value: &u32) -> u32 {
    *value
}

#[traced]
fn semicolon() -> Pin<Box<dyn Future<Output = u32>>> {
    Box::pin(ready(1));
}

#[traced("{text}")]
fn moved(text: String) -> impl Future<Output = usize> {
    drop(text);
    ready(text.len())
}

#[traced]
pub fn unused(unused: u32) -> impl Future<Output = u32> {
    let unused_too = 1;
    return ready(1);
    ready(2)
}

/// The return type has another name, which the attribute cannot know.
#[traced]
fn alias(value: &u32) -> Boxed<'_> {
    let value = *value;
    helper(value)
}

fn helper<'a>(value: u32) -> Boxed<'a> {
    Box::pin(ready(value))
}

#[traced]
fn return_of_a_macro(value: Option<u32>) -> impl Future<Output = u32> {
    macro_rules! some {
        ($value:expr) => {
            match $value {
                Some(value) => value,
                None => return ready(0),
            }
        };
    }
    ready(some!(value))
}

#[traced]
fn named(value: u32) -> Ready<u32> {
    ready(value)
}

fn main() {}
