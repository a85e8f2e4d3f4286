//! Every form of function that `#[traced]` accepts does what it does without the attribute.
//!
//! The lints are part of the test: nothing that the attribute adds is to be reported to the user,
//! and nothing in it is to be silenced by an `allow`, which `forbid` does not accept.
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
