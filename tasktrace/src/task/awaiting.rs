//! Waiting for other tasks.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::frame::FrameOwner;
use super::{body, drive, scope};
use crate::origin::Identity;

/// What a future that waits for other tasks is to the task that polls it: a frame.
pub(crate) struct Awaiting {
    /// Made by the first poll in a task.
    frame: Option<(Identity, FrameOwner)>,
}

impl Awaiting {
    pub(crate) fn new() -> Self {
        Self { frame: None }
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
        let make = || (identity(), FrameOwner::new());
        let (identity, frame) = self.frame.get_or_insert_with(make);
        // SAFETY: `enter` polls it once at most, and returns what that has.
        unsafe {
            body::poll(future, |body| {
                drive::enter(frame.head(), identity, body, cx)
            })
        }
    }
}

impl fmt::Debug for Awaiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.frame.as_ref().map(|(_, frame)| frame).fmt(f)
    }
}
