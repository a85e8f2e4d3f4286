//! What the expansions of the attributes name. Not a public interface: it may change in any
//! release, which is why the two crates are pinned to each other.
#![allow(missing_docs)]

use core::future::Future;

pub use core::{column, file, line};
pub use std::format;

use crate::origin::{Identity, Origin};
use crate::task::About;

pub use crate::origin::{FrameMeta, path_of};
pub use crate::task::{TracedFuture, TracedTask};

/// Wraps the body of a `#[traced]` function: a frame of the task that polls it, or a task of its
/// own where there is none.
#[inline]
pub fn frame<F: Future>(meta: &'static FrameMeta, future: F) -> TracedFuture<F> {
    TracedFuture::new(Identity::Static(meta), future)
}

/// As `frame`, with a label.
pub fn labelled<F: Future>(meta: &'static FrameMeta, label: String, future: F) -> TracedFuture<F> {
    let identity = Identity::new(Origin::Function(meta), Some(label.into()), None);
    TracedFuture::new(identity, future)
}

/// Wraps the body of a `main` or `test` function: always a task of its own.
#[inline]
pub fn task<F: Future>(meta: &'static FrameMeta, future: F) -> TracedTask<F> {
    TracedTask::new(About::of(Origin::Function(meta)), future)
}

/// Stands for what a `#[traced]` body returns, where only its type is wanted. Never called.
pub fn output<T>() -> T {
    unreachable!("only the type is wanted")
}

/// How many records and how many frames there are, for the tests.
pub fn live() -> (usize, usize) {
    crate::task::live()
}

/// How many times an address has been resolved, for the tests.
pub fn resolved_addresses() -> usize {
    crate::symbol::look_ups()
}
