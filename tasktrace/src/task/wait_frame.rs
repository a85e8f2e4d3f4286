//! Shows a future that waits for other tasks as a frame of the task that polls it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::frame::FrameOwner;
use super::{erased_future, poll, scope};
use crate::origin::Identity;

/// The frame of a future that waits for other tasks.
pub(crate) struct WaitFrame {
    /// Made by the first poll inside a task.
    frame: Option<(Identity, FrameOwner)>,
}

impl WaitFrame {
    pub(crate) fn new() -> Self {
        Self { frame: None }
    }

    /// Polls `future` inside the frame. `identity` makes the identity of the frame, for the first poll.
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
        // SAFETY: `poll_traced` polls the erased future once at most, and returns `Ready` only if that poll has: see
        // `poll`, "How often a future is polled".
        unsafe {
            erased_future::poll_erased(future, |future| {
                poll::poll_traced(frame.state(), identity, future, cx)
            })
        }
    }
}

impl fmt::Debug for WaitFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.frame.as_ref().map(|(_, frame)| frame).fmt(f)
    }
}
