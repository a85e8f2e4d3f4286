//! Waiting for other tasks.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::frame::{self, Head};
use super::scope;
use crate::origin::Identity;

/// What a future that waits for other tasks is to the task that polls it: a frame.
pub(crate) struct Awaiting {
    /// Made by the first poll in a task.
    head: Option<Head>,
}

impl Awaiting {
    pub(crate) fn new() -> Self {
        Self { head: None }
    }

    /// Polls `future`, in the frame that `identity` says it is.
    pub(crate) fn poll<F: Future>(
        &mut self,
        identity: impl FnOnce() -> Identity,
        future: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<F::Output> {
        if !scope::is_in_task() {
            return future.poll(cx);
        }
        let head = self.head.get_or_insert_with(|| Head::new(identity()));
        frame::poll(head, future, cx)
    }
}

impl fmt::Debug for Awaiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head.fmt(f)
    }
}
