//! The end of a poll of a frame, and of the frame: what a future that is polled inside of a task adds to the live
//! tree.

use std::fmt;
use std::ptr;
use std::task::Poll;

use super::finish::finish;
use super::foreign;
use super::head::Head;
use super::local::Local;
use super::record::Record;
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
    /// Files the frame in the record of the task that polls it, together with those around it.
    ///
    /// `scope` is that of a poll of this frame.
    #[cold]
    #[inline(never)]
    fn file(&self, scope: &Scope<'_>, record: &Record) -> Option<Key> {
        let _inside = Inside::enter();
        let scopes: Vec<&Scope<'_>> = scope
            .outwards()
            .take_while(|scope| !scope.is_task())
            .collect();
        // From the inside out, so that nobody sees what is inside without what is around it.
        scopes.iter().for_each(|scope| scope.leave_others());
        let mut parent = Key::TASK;
        for scope in scopes.into_iter().rev() {
            parent = scope.head()?.file_below(scope.name(), record, parent)?;
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
        let Some((record, parent)) = scope.usual(local) else {
            return self.suspended_otherwise(scope);
        };
        match self.filed_in(record) {
            None => self.suspended_first(scope, record, parent),
            Some(filed) if Self::is_suspended_again(filed, record, parent) => Poll::Pending,
            Some(_) => self.suspended_otherwise(scope),
        }
    }

    /// It was suspended before, as it is now: in the same task, below the same frame, and with the same waker. If
    /// so, that it has been polled is noted.
    #[inline(always)]
    fn is_suspended_again(filed: Filed, record: &Record, parent: &Scope<'_>) -> bool {
        let Some(slot) = filed.slot else {
            return false;
        };
        let parent = match parent.head() {
            None => Key::TASK,
            Some(parent) => match parent.key_in(record) {
                Some(parent) => parent,
                None => return false,
            },
        };
        // SAFETY: the slot is one of this record, and the caller is in a poll of its task.
        unsafe { slot.polled(filed.key(), parent, record.stamp()) }
    }

    /// It is not filed in this record, and polled with the waker of what is around it.
    #[inline(never)]
    fn suspended_first(&self, scope: &Scope<'_>, record: &Record, parent: &Scope<'_>) -> Poll<()> {
        match self.is_filed_first(scope, record, parent) {
            true => Poll::Pending,
            false => self.suspended_otherwise(scope),
        }
    }

    /// It was never filed, and is polled by the task itself. If so, and if it is the only frame of the task, it is
    /// filed.
    #[inline(always)]
    fn is_filed_first(&self, scope: &Scope<'_>, record: &Record, parent: &Scope<'_>) -> bool {
        if !parent.is_task() || self.link().leads_anywhere() {
            return false;
        }
        let Some(meta) = scope.name().as_static() else {
            return false;
        };
        // SAFETY: this is in a poll of the task.
        let filed = unsafe { record.frames().insert_first(meta, record.stamp()) };
        filed.is_some_and(|filed| {
            self.set_filed_in(record, filed);
            true
        })
    }

    #[cold]
    #[inline(never)]
    fn suspended_otherwise(&self, scope: &Scope<'_>) -> Poll<()> {
        let Some(record) = scope.record() else {
            return Poll::Pending;
        };
        let frames = record.frames();
        let parent = scope.parent().and_then(Scope::key);
        let parent = parent.filter(|parent| frames.has(*parent));
        let filed = match (self.key_in(record), parent) {
            (Some(key), Some(parent)) => frames.polled(key, parent, record.stamp()),
            _ => false,
        };
        if !filed {
            match parent {
                Some(parent) => self.file_below(scope.name(), record, parent),
                None => self.file(scope, record),
            };
        }
        if scope.has_own_waker() {
            self.keep_waker(scope, record);
        }
        Poll::Pending
    }

    fn keep_waker(&self, scope: &Scope<'_>, record: &Record) {
        if let Some(key) = self.key_in(record) {
            // SAFETY: the caller is in a poll of the task.
            let replaced = unsafe { record.frames().set_waker(key, capture::real(scope.waker())) };
            foreign::drop(replaced);
        }
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
        let record = *scope.polled();
        let Some(filed) = self.filed_in(record) else {
            return false;
        };
        let Some(slot) = filed.slot else {
            return false;
        };
        // SAFETY: this is in a poll of the task, in whose record the slot is.
        let is_removed = unsafe {
            record
                .frames()
                .remove_plain(slot, filed.key(), scope.name())
        };
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
        let polled = Scope::with_current(|scope| scope.record().map(ptr::from_ref));
        if polled.is_some_and(|polled| ptr::eq(polled, record)) {
            // SAFETY: this is in a poll of the task.
            foreign::drop(unsafe { record.frames().remove(key) });
        } else {
            record.note_gone(key, Gone::Ended);
        }
    }

    /// It is being dropped.
    #[cold]
    #[inline(never)]
    fn end(&self) {
        self.unfile();
        finish(self.link());
    }
}
