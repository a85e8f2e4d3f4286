//! Tests that each form of function that `#[traced]` accepts does the same as without the attribute.
//!
//! The lints are part of the tests: no lint may report code that the attribute adds, and that code may contain no
//! `allow`, which `forbid` does not accept.
#![forbid(unreachable_code, unused_braces, unused_must_use)]
#![deny(
    warnings,
    unused,
    rust_2018_idioms,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::nursery
)]

mod auto_traits;
mod blocks;
mod containers;
mod cost;
mod drop_order;
mod functions;
mod inference;
mod labels;
mod limits;
mod lints;
mod macros;
mod metadata;
mod methods;
mod returning;
mod traits;

/// Returns `Pending` once.
async fn pause() {
    let mut polled = false;
    std::future::poll_fn(|cx| {
        if polled {
            return std::task::Poll::Ready(());
        }
        polled = true;
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
