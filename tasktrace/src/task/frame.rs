//! A frame: what a future that is polled inside of a task adds to the live tree.
//!
//! Its [`Head`] is part of the future and is used by whoever polls or drops that, so by one thread
//! at a time. It remembers where the frame is filed: in which record and under which key. A record
//! is never freed and a key is never used twice, so what it remembers may be out of date, but does
//! no harm.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering, compiler_fence};
use std::task::Poll;

use super::foreign;
use super::frames::{Filed, Gone, Key, Slot};
use super::link::{Link, Root};
use super::local::Local;
use super::name::NameRef;
use super::record::Record;
use super::scope::Scope;
use crate::capture;
use crate::sync::Inside;

/// In every annotated call: three words.
pub(super) struct Head {
    /// Where it is filed, or that it is a task.
    link: Link,
    /// Where in the record, as long as it is filed.
    filed: FiledCell,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Head>() == 24);

// Whatever happens in a poll, what is remembered may be out of date: see above.
impl UnwindSafe for Head {}
impl RefUnwindSafe for Head {}

impl Head {
    #[inline]
    pub(super) const fn new() -> Self {
        Self {
            link: Link::none(),
            filed: FiledCell::none(),
        }
    }

    #[inline]
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Where it is filed in this record.
    #[inline(always)]
    pub(super) fn filed_in(&self, record: &Record) -> Option<Filed> {
        self.link.is_filed_in(record).then(|| self.filed.get())
    }

    /// The key that it has in this record.
    #[inline]
    pub(super) fn key_in(&self, record: &Record) -> Option<Key> {
        self.filed_in(record).map(Filed::key)
    }

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

    /// Files the frame below one that is filed.
    ///
    /// The caller is in a poll of this frame, and of the task of the record.
    pub(super) fn file_below(&self, name: NameRef, record: &Record, parent: Key) -> Option<Key> {
        // An allocator that is called meanwhile does not file frames.
        let _inside = Inside::enter();
        self.leave_others(record);
        if let Some(key) = self.key_in(record) {
            // SAFETY: the caller is in a poll of the task.
            if unsafe { record.frames().set_parent(key, parent) } {
                return Some(key);
            }
        }
        self.file_anew(name, record, parent)
    }

    /// Files the frame below one that is filed. It is not filed itself.
    ///
    /// The caller is in a poll of this frame, and of the task of the record.
    #[inline(always)]
    fn file_anew(&self, name: NameRef, record: &Record, parent: Key) -> Option<Key> {
        // SAFETY: the caller is in a poll of the task.
        let filed = unsafe { record.frames().insert(name, parent, record.stamp()) }?;
        self.set_filed_in(record, filed);
        Some(filed.key())
    }

    /// A poll in this scope, which has been left, has returned this. Returns it as well, as do those that it
    /// calls, so that it need not be kept.
    #[inline(always)]
    pub(super) fn leave(&self, local: &Local, scope: &Scope<'_>, result: Poll<()>) -> Poll<()> {
        match result {
            Poll::Ready(()) if self.link.leads_anywhere() => self.unfile_from(local, scope),
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
        if !parent.is_task() || self.link.leads_anywhere() {
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

    #[inline(always)]
    fn set_filed_in(&self, record: &Record, filed: Filed) {
        self.filed.set(filed);
        // In this order also for a signal handler, which reads the key where the record is right.
        compiler_fence(Ordering::SeqCst);
        self.link.set_filed_in(record);
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
            self.link.forget_filed();
        }
        is_removed
    }

    /// The frame is no more where it was.
    #[cold]
    #[inline(never)]
    fn unfile(&self) {
        let Some(record) = self.link.take_filed() else {
            return;
        };
        let key = self.filed.get().key();
        let polled = Scope::with_current(|scope| scope.record().map(ptr::from_ref));
        if polled.is_some_and(|polled| ptr::eq(polled, record)) {
            // SAFETY: this is in a poll of the task.
            foreign::drop(unsafe { record.frames().remove(key) });
        } else {
            record.note_gone(key, Gone::Ended);
        }
    }

    /// It is being polled by the task of this record: it is no longer part of another.
    pub(super) fn leave_others(&self, record: &Record) {
        if !self.link.is_filed_in(record) {
            self.leave_task();
        }
    }

    /// It is being polled elsewhere.
    pub(super) fn leave_task(&self) {
        if let Some(other) = self.link.take_filed() {
            other.note_gone(self.filed.get().key(), Gone::Moved);
        }
    }

    /// It is being dropped.
    #[cold]
    #[inline(never)]
    fn end(&self) {
        self.unfile();
        self.link.finish();
    }
}

/// Where a frame is filed: a [`Filed`], in words that a signal handler may read.
struct FiledCell {
    /// That of no frame until this one is filed for the first time.
    key: AtomicU64,
    slot: AtomicPtr<Slot>,
}

impl FiledCell {
    const fn none() -> Self {
        Self {
            key: AtomicU64::new(0),
            slot: AtomicPtr::new(ptr::null_mut()),
        }
    }

    #[inline(always)]
    fn get(&self) -> Filed {
        let key = self.key.load(Ordering::Relaxed);
        Filed::from_parts(key, self.slot.load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn set(&self, filed: Filed) {
        let (key, slot) = filed.into_parts();
        self.key.store(key, Ordering::Relaxed);
        self.slot.store(slot, Ordering::Relaxed);
    }
}

/// A frame that its first poll outside of any other task has made a task.
impl Root for Head {
    #[inline(always)]
    fn link(&self) -> &Link {
        &self.link
    }

    /// It has left them when it became one: see [`Link::make`].
    fn leave_outer(&self) {}
}

impl Drop for Head {
    #[inline]
    fn drop(&mut self) {
        if self.link.leads_anywhere() {
            self.end();
        }
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Head").field(&self.link).finish()
    }
}
