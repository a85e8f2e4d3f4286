//! The end of a poll of a frame, and of the frame: what a future that is polled inside of a task adds to the live
//! tree.

use std::fmt;
use std::ptr;

use super::finish::finish_dropped;
use super::foreign;
use super::head::Head;
use super::local::Local;
use super::poller::Poller;
use super::scope::Scope;
use super::slot::{Gone, Key};
use crate::capture;
use crate::sync::Inside;

/// The frame of a future, which ends when this is dropped.
pub(super) struct FrameOwner(Head);

impl FrameOwner {
    #[inline]
    pub(super) const fn new() -> Self {
        Self(Head::new())
    }

    #[inline]
    pub(super) fn head(&self) -> &Head {
        &self.0
    }
}

impl Drop for FrameOwner {
    #[inline]
    fn drop(&mut self) {
        if self.0.link().leads_anywhere() {
            self.0.end();
        }
    }
}

impl fmt::Debug for FrameOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Head {
    /// Files the frame of this scope, and those around it that are not filed.
    #[cold]
    #[inline(never)]
    fn file_all(scope: &Scope<'_>, poller: Poller<'_>) -> Option<Key> {
        // An allocator that is called meanwhile does not file frames.
        let _inside = Inside::enter();
        let is_unfiled = |scope: &&Scope<'_>| scope.key().is_none_or(|key| !poller.has_frame(key));
        let unfiled: Vec<&Scope<'_>> = scope.outwards().take_while(is_unfiled).collect();
        unfiled.iter().for_each(|scope| scope.leave_others());
        let outermost = unfiled.last().and_then(|scope| scope.parent());
        let mut parent = outermost?.key()?;
        for scope in unfiled.into_iter().rev() {
            let (head, identity) = scope.as_frame()?;
            parent = head.file_below(identity, poller, parent)?;
        }
        Some(parent)
    }

    /// A poll in this scope, which has been left, has returned `Pending`.
    #[inline]
    pub(super) fn suspended(&self, local: &Local, scope: &Scope<'_>) {
        if self.suspended_again(local, scope).is_none() {
            // A frame for which there is no room stays invisible.
            let _ = self.suspended_anew(local, scope);
        }
    }

    /// Notes that it has been polled, if it is suspended as it was before: in the same task, below the same frame, and with
    /// the same waker. Returns `None` if it is not.
    #[inline]
    fn suspended_again(&self, local: &Local, scope: &Scope<'_>) -> Option<()> {
        let poller = scope.poller_on(local)?;
        let slot = poller.find_frame(self.key_in(poller.record())?)?;
        let parent = scope.parent()?;
        if slot.parent() != parent.key()? || !scope.has_waker_of(parent) {
            return None;
        }
        slot.set_stamp(poller.stamp());
        Some(())
    }

    /// It is suspended for the first time, or elsewhere than before: files it, after those around it that are not filed.
    /// Returns `None` if there are too many frames.
    #[inline(never)]
    fn suspended_anew(&self, local: &Local, scope: &Scope<'_>) -> Option<Key> {
        let poller = scope.poller_on(local)?;
        let (_, identity) = scope.as_frame()?;
        // From the inside out, so that nobody sees what is inside without what is around it.
        self.leave_others(poller.record());
        let around = scope.parent()?;
        let parent = match around.key() {
            Some(key) if poller.has_frame(key) => key,
            _ => Self::file_all(around, poller)?,
        };
        let key = self.file_below(identity, poller, parent)?;
        if scope.has_own_waker() {
            Self::keep_waker(scope, poller, key);
        }
        Some(key)
    }

    /// Keeps the waker of a frame that is polled with another than what is around it.
    #[cold]
    #[inline(never)]
    fn keep_waker(scope: &Scope<'_>, poller: Poller<'_>, key: Key) {
        let waker = capture::real(scope.waker());
        foreign::drop(poller.set_waker(key, waker));
    }

    /// A poll in this scope, which has been left, has returned `Ready`.
    #[inline]
    pub(super) fn resolved(&self, local: &Local, scope: &Scope<'_>) {
        if self.link().leads_anywhere() {
            self.unfile(scope.poller_on(local));
        }
    }

    /// Takes the frame off where it is filed. `poller` is that of the task that is being polled on this thread, if there is
    /// one: who polls a task takes its frames off, and who does not leaves a note.
    #[inline(never)]
    fn unfile(&self, poller: Option<Poller<'_>>) {
        let Some((record, key)) = self.take_filed() else {
            return;
        };
        let Some(poller) = poller.filter(|poller| ptr::eq(poller.record(), record)) else {
            record.note_gone(key, Gone::Ended);
            return;
        };
        if let Some(waker) = poller.remove(key) {
            foreign::drop([waker]);
        }
    }

    /// It is being dropped.
    #[cold]
    #[inline(never)]
    fn end(&mut self) {
        Scope::with_current(|scope| {
            self.unfile(scope.poller());
            Some(())
        });
        // If no task is being polled on this thread, it has not been taken off yet.
        self.unfile(None);
        finish_dropped(self.link_mut());
    }
}
