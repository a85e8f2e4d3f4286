//! The end of a poll of a frame, and of the frame: what a future that is polled inside of a task adds to the live
//! tree.

use std::fmt;
use std::ptr;
use std::task::Poll;

use super::finish::finish;
use super::foreign;
use super::head::Head;
use super::local::Local;
use super::poller::Poller;
use super::scope::Scope;
use super::slot::{Filed, Gone, Key};
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
    /// Files the frame of this scope in the record of the task that polls it, together with those around it.
    #[cold]
    #[inline(never)]
    fn file(scope: &Scope<'_>, poller: Poller<'_>) -> Option<Key> {
        let _inside = Inside::enter();
        let scopes: Vec<&Scope<'_>> = scope
            .outwards()
            .take_while(|scope| !scope.is_task())
            .collect();
        // From the inside out, so that nobody sees what is inside without what is around it.
        scopes.iter().for_each(|scope| scope.leave_others());
        let mut parent = Key::TASK;
        for scope in scopes.into_iter().rev() {
            parent = scope.head()?.file_below(scope.name(), poller, parent)?;
        }
        Some(parent)
    }

    /// A poll in this scope, which has been left, has returned this. Returns it as well, as do those that it
    /// calls, so that it need not be kept.
    #[inline(always)]
    pub(super) fn leave(&self, local: &Local, scope: &Scope<'_>, result: Poll<()>) -> Poll<()> {
        match result {
            Poll::Ready(()) if self.link().leads_anywhere() => self.unfile_from(local, scope),
            Poll::Pending => self.suspended(local, scope),
            result => result,
        }
    }

    /// The poll has returned `Pending`.
    #[inline(always)]
    fn suspended(&self, local: &Local, scope: &Scope<'_>) -> Poll<()> {
        let Some((poller, parent)) = scope.usual(local) else {
            return self.suspended_otherwise(scope);
        };
        match self.filed_in(poller.record()) {
            None => self.suspended_first(scope, poller, parent),
            Some(filed) if Self::is_suspended_again(filed, poller, parent) => Poll::Pending,
            Some(_) => self.suspended_otherwise(scope),
        }
    }

    /// It was suspended before, as it is now: in the same task, below the same frame, and with the same waker. If
    /// so, that it has been polled is noted.
    #[inline(always)]
    fn is_suspended_again(filed: Filed, poller: Poller<'_>, parent: &Scope<'_>) -> bool {
        let Some(slot) = filed.slot else {
            return false;
        };
        let parent = match parent.head() {
            None => Key::TASK,
            Some(parent) => match parent.key_in(poller.record()) {
                Some(parent) => parent,
                None => return false,
            },
        };
        slot.polled(filed.key(), parent, poller.stamp())
    }

    /// It is not filed in this record, and polled with the waker of what is around it.
    #[inline(never)]
    fn suspended_first(
        &self,
        scope: &Scope<'_>,
        poller: Poller<'_>,
        parent: &Scope<'_>,
    ) -> Poll<()> {
        match self.is_filed_first(scope, poller, parent) {
            true => Poll::Pending,
            false => self.suspended_otherwise(scope),
        }
    }

    /// It was never filed, and is polled by the task itself. If so, and if it is the only frame of the task, it is
    /// filed.
    #[inline(always)]
    fn is_filed_first(&self, scope: &Scope<'_>, poller: Poller<'_>, parent: &Scope<'_>) -> bool {
        if !parent.is_task() || self.link().leads_anywhere() {
            return false;
        }
        let Some(meta) = scope.name().as_static() else {
            return false;
        };
        let filed = poller.frames().insert_first(meta, poller.stamp());
        filed.is_some_and(|filed| {
            self.set_filed_in(poller.record(), filed);
            true
        })
    }

    #[cold]
    #[inline(never)]
    fn suspended_otherwise(&self, scope: &Scope<'_>) -> Poll<()> {
        let Some(poller) = scope.poller() else {
            return Poll::Pending;
        };
        let frames = poller.frames();
        let parent = scope.parent().and_then(Scope::key);
        let parent = parent.filter(|parent| frames.has(*parent));
        let filed = match (self.key_in(poller.record()), parent) {
            (Some(key), Some(parent)) => frames.polled(key, parent, poller.stamp()),
            _ => false,
        };
        if !filed {
            match parent {
                Some(parent) => self.file_below(scope.name(), poller, parent),
                None => Self::file(scope, poller),
            };
        }
        if scope.has_own_waker()
            && let Some(key) = self.key_in(poller.record())
        {
            foreign::drop(frames.set_waker(key, capture::real(scope.waker())));
        }
        Poll::Pending
    }

    /// The poll has returned `Ready`: the frame is no more where it was.
    #[inline(never)]
    fn unfile_from(&self, local: &Local, scope: &Scope<'_>) -> Poll<()> {
        if !self.is_unfiled_from(local, scope) {
            self.unfile();
        }
        Poll::Ready(())
    }

    /// It is in a slot of the task that polls it, and there is no more to it than a static description. If so, it
    /// is taken off.
    #[inline(always)]
    fn is_unfiled_from(&self, local: &Local, scope: &Scope<'_>) -> bool {
        if local.is_tangled() {
            return false;
        }
        let poller = *scope.polled();
        let Some(filed) = self.filed_in(poller.record()) else {
            return false;
        };
        let Some(slot) = filed.slot else {
            return false;
        };
        let frames = poller.frames();
        let is_removed = frames.remove_plain(slot, filed.key(), scope.name());
        if is_removed {
            self.link().forget_filed();
        }
        is_removed
    }

    /// The frame is no more where it was.
    #[cold]
    #[inline(never)]
    fn unfile(&self) {
        let Some((record, key)) = self.take_filed() else {
            return;
        };
        let removed = Scope::with_current(|scope| {
            let poller = scope.poller()?;
            let is_it = ptr::eq(poller.record(), record);
            is_it.then(|| poller.frames().remove(key))
        });
        match removed {
            Some(waker) => foreign::drop(waker),
            None => record.note_gone(key, Gone::Ended),
        }
    }

    /// It is being dropped.
    #[cold]
    #[inline(never)]
    fn end(&self) {
        self.unfile();
        // SAFETY: the future is being dropped, so it is not being polled.
        unsafe { finish(self.link()) };
    }
}
