//! Updates the live tree when a poll of a frame ends, and when the frame's future is dropped.

use std::fmt;
use std::ptr;

use super::finish::finish_dropped;
use super::foreign;
use super::frame_state::FrameState;
use super::poller::Poller;
use super::scope::Scope;
use super::slot::{DetachReason, FrameKey};
use super::thread_state::ThreadState;
use crate::capture;
use crate::sync::ReentrancyGuard;

/// The frame of a future. Dropping it ends the frame.
pub(super) struct FrameOwner(FrameState);

impl FrameOwner {
    #[inline]
    pub(super) const fn new() -> Self {
        Self(FrameState::new())
    }

    #[inline]
    pub(super) fn state(&self) -> &FrameState {
        &self.0
    }
}

impl Drop for FrameOwner {
    #[inline]
    fn drop(&mut self) {
        if self.0.registration().is_registered() {
            self.0.end_dropped();
        }
    }
}

impl fmt::Debug for FrameOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FrameState {
    /// Registers the frame of this scope, after the unregistered frames around it. Returns `None` if there are too
    /// many frames.
    #[cold]
    #[inline(never)]
    fn register_all(scope: &Scope<'_>, poller: Poller<'_>) -> Option<FrameKey> {
        // The guard keeps an allocator that uses tasktrace from registering frames while this thread allocates.
        let _guard = ReentrancyGuard::enter();
        let is_unregistered =
            |scope: &&Scope<'_>| scope.key().is_none_or(|key| !poller.has_frame(key));
        let unregistered: Vec<&Scope<'_>> = scope.ancestors().take_while(is_unregistered).collect();
        unregistered
            .iter()
            .for_each(|scope| scope.leave_other_tasks());
        let outermost = unregistered.last().and_then(|scope| scope.parent());
        let mut parent = outermost?.key()?;
        for scope in unregistered.into_iter().rev() {
            let (frame, identity) = scope.as_frame()?;
            parent = frame.register_below(identity, poller, parent)?;
        }
        Some(parent)
    }

    /// Notes that the poll of this scope, which has been left, has returned `Pending`.
    #[inline]
    pub(super) fn note_suspended(&self, thread_state: &ThreadState, scope: &Scope<'_>) {
        if self.note_suspended_again(thread_state, scope).is_none() {
            // A frame for which there is no room stays invisible.
            let _ = self.register_suspended(thread_state, scope);
        }
    }

    /// Notes a poll of the frame if the frame is suspended where it was before: in the same task, below the same
    /// parent, and with the same waker. Returns `None` if it is not.
    #[inline]
    fn note_suspended_again(&self, thread_state: &ThreadState, scope: &Scope<'_>) -> Option<()> {
        let poller = scope.poller_on(thread_state)?;
        let slot = poller.find_frame(self.key_in(poller.header())?)?;
        let parent = scope.parent()?;
        if slot.parent() != parent.key()? || !scope.has_waker_of(parent) {
            return None;
        }
        slot.set_last_poll(poller.last_poll());
        Some(())
    }

    /// Registers the frame, which is suspended for the first time or elsewhere than before, after the unregistered
    /// frames around it. Returns `None` if there are too many frames.
    #[inline(never)]
    fn register_suspended(
        &self,
        thread_state: &ThreadState,
        scope: &Scope<'_>,
    ) -> Option<FrameKey> {
        let poller = scope.poller_on(thread_state)?;
        let (_, identity) = scope.as_frame()?;
        // From the inside out, so that no reader sees an inner frame without the frames around it.
        self.leave_other_tasks(poller.header());
        let parent_scope = scope.parent()?;
        let parent = match parent_scope.key() {
            Some(key) if poller.has_frame(key) => key,
            _ => Self::register_all(parent_scope, poller)?,
        };
        let key = self.register_below(identity, poller, parent)?;
        if scope.has_own_waker() {
            Self::keep_waker(scope, poller, key);
        }
        Some(key)
    }

    /// Stores the waker of a frame that is polled with a waker other than its parent's.
    #[cold]
    #[inline(never)]
    fn keep_waker(scope: &Scope<'_>, poller: Poller<'_>, key: FrameKey) {
        let waker = capture::real(scope.waker());
        foreign::drop(poller.set_waker(key, waker));
    }

    /// Notes that the poll of this scope, which has been left, has returned `Ready`.
    #[inline]
    pub(super) fn note_resolved(&self, thread_state: &ThreadState, scope: &Scope<'_>) {
        if self.registration().is_registered() {
            self.remove_frame(scope.poller_on(thread_state));
        }
    }

    /// Removes the frame from the task that it is registered in. `poller` is the poller of the task that is being
    /// polled on this thread, if there is one. If the frame is registered in another task, this thread may not write
    /// to the table of that task, and marks the frame as detached instead.
    #[inline(never)]
    fn remove_frame(&self, poller: Option<Poller<'_>>) {
        let Some((header, key)) = self.deregister() else {
            return;
        };
        let Some(poller) = poller.filter(|poller| ptr::eq(poller.header(), header)) else {
            header.mark_detached(key, DetachReason::Ended);
            return;
        };
        if let Some(waker) = poller.remove(key) {
            foreign::drop([waker]);
        }
    }

    /// Ends the frame, whose future is being dropped.
    #[cold]
    #[inline(never)]
    fn end_dropped(&mut self) {
        Scope::with_current(|scope| {
            self.remove_frame(scope.poller());
            Some(())
        });
        // If no task is being polled on this thread, the frame has not been removed above.
        self.remove_frame(None);
        finish_dropped(self.registration_mut());
    }
}
