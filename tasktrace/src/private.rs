//! What the expansions of the attributes name. Not a public interface: it may change in any
//! release, which is why the two crates are pinned to each other.
#![allow(missing_docs)]

use core::future::Future;

pub use core::{column, file, line};

/// What is known of a `#[traced]` function at compile time.
#[derive(Debug)]
pub struct FrameMeta {
    name: Option<&'static str>,
    path: fn() -> &'static str,
    file: &'static str,
    line: u32,
    column: u32,
}

impl FrameMeta {
    /// `path` returns [`path_of`] an item declared inside the function.
    pub const fn new(
        name: Option<&'static str>,
        path: fn() -> &'static str,
        file: &'static str,
        line: u32,
        column: u32,
    ) -> Self {
        Self {
            name,
            path,
            file,
            line,
            column,
        }
    }
}

/// The full path of an item, as the compiler spells it.
pub fn path_of<T>(_item: T) -> &'static str {
    core::any::type_name::<T>()
}

/// Wraps the body of a `#[traced]` function: a frame of the task that polls it, or a task of its
/// own where there is none.
pub fn frame<F: Future>(_meta: &'static FrameMeta, future: F) -> F {
    future
}

/// Wraps the body of a `main` or `test` function: always a task of its own.
pub fn task<F: Future>(_meta: &'static FrameMeta, future: F) -> F {
    future
}
