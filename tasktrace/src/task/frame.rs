//! A frame: what a future that is polled inside of a task adds to the live tree.
//!
//! Its [`Head`] is part of the future and is used by whoever polls or drops that, so by one thread
//! at a time. It remembers where the frame is filed: in which record and under which key. A record
//! is never freed and a key is never used twice, so what it remembers may be out of date, but does
//! no harm.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::ptr;
use std::sync::atomic::{Ordering, compiler_fence};
use std::task::{Context, Poll};

use super::drive;
use super::frames::{Filed, Gone, Key, SlotRef};
use super::link::Link;
use super::name::Name;
use super::record::Record;
use super::scope::Scope;
use crate::capture::{self, CaptureRef};
use crate::origin::Identity;

/// In every annotated call: four words.
pub(super) struct Head {
    identity: ManuallyDrop<Name>,
    /// Where it is filed, or that it is a task.
    link: Link,
    /// Of the frame, where it is filed.
    key: Cell<Key>,
    /// Where in the record, if that can be remembered.
    slot: Cell<Option<SlotRef>>,
}

// SAFETY: the cells are accessed only by who has the future mutably, to poll or to drop it, and
// inside of such a poll on the same thread, through a `Scope`. `Debug` does not access them.
unsafe impl Send for Head {}
// SAFETY: likewise.
unsafe impl Sync for Head {}

// Whatever happens in a poll, what is remembered may be out of date: see above.
impl UnwindSafe for Head {}
impl RefUnwindSafe for Head {}

impl Head {
    #[inline]
    pub(super) fn new(identity: Identity) -> Self {
        Self {
            identity: ManuallyDrop::new(Name::new(identity)),
            link: Link::none(),
            key: Cell::new(Key::TASK),
            slot: Cell::new(None),
        }
    }

    pub(super) fn identity(&self) -> impl Deref<Target = Identity> {
        self.identity.get()
    }

    #[inline]
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// The key that it has in this record.
    #[inline]
    pub(super) fn key_in(&self, record: &Record) -> Option<Key> {
        self.link.is_filed_in(record).then(|| self.key.get())
    }

    /// Files the frame in the record of the task that polls it, together with those around it.
    ///
    /// `scope` is that of a poll of this frame.
    #[cold]
    #[inline(never)]
    fn file(&self, scope: &Scope<'_>, record: &Record) -> Option<Key> {
        let scopes: Vec<&Scope<'_>> = scope
            .outwards()
            .take_while(|scope| !scope.is_task())
            .collect();
        // From the inside out, so that nobody sees what is inside without what is around it.
        scopes.iter().for_each(|scope| scope.leave_others());
        let mut parent = Key::TASK;
        for scope in scopes.into_iter().rev() {
            parent = scope.head()?.file_below(record, parent)?;
        }
        Some(parent)
    }

    /// Files the frame below one that is filed.
    ///
    /// The caller is in a poll of this frame, and of the task of the record.
    pub(super) fn file_below(&self, record: &Record, parent: Key) -> Option<Key> {
        self.leave_others(record);
        if let Some(key) = self.key_in(record) {
            // SAFETY: the caller is in a poll of the task.
            if unsafe { record.frames.set_parent(key, parent) } {
                return Some(key);
            }
        }
        // SAFETY: likewise.
        let Filed { key, slot } = unsafe {
            record
                .frames
                .insert(&self.identity.get(), parent, record.stamp())
        }?;
        self.key.set(key);
        self.slot.set(slot);
        // In this order also for a signal handler, which reads the key where the record is right.
        compiler_fence(Ordering::SeqCst);
        self.link.set_filed_in(record);
        Some(key)
    }

    /// The poll has returned `Pending`, as it did before: in the same task, below the same frame, and
    /// with the same waker. If so, that it has been polled is noted.
    #[inline(always)]
    fn is_suspended_again(&self, scope: &Scope<'_>) -> bool {
        let (Some(slot), Some((record, parent))) = (self.slot.get(), scope.usual()) else {
            return false;
        };
        if !self.link.is_filed_in(record) {
            return false;
        }
        let parent = match parent.head() {
            None => Key::TASK,
            Some(parent) if parent.link.is_filed_in(record) => parent.key.get(),
            Some(_) => return false,
        };
        // SAFETY: the slot is one of this record, and the caller is in a poll of its task.
        unsafe { slot.polled(self.key.get(), parent, record.stamp()) }
    }

    /// The poll has returned `Pending`.
    #[cold]
    #[inline(never)]
    fn suspended(&self, scope: &Scope<'_>) {
        let Some(record) = scope.record() else {
            return;
        };
        let parent = scope.parent().and_then(Scope::key);
        let parent = parent.filter(|parent| record.frames.has(*parent));
        let filed = match (self.key_in(record), parent) {
            (Some(key), Some(parent)) => record.frames.polled(key, parent, record.stamp()),
            _ => false,
        };
        if !filed {
            match parent {
                Some(parent) => self.file_below(record, parent),
                None => self.file(scope, record),
            };
        }
        if scope.has_own_waker() {
            self.keep_waker(scope, record);
        }
    }

    fn keep_waker(&self, scope: &Scope<'_>, record: &Record) {
        if let Some(key) = self.key_in(record) {
            // SAFETY: the caller is in a poll of the task.
            drop(unsafe { record.frames.set_waker(key, capture::real(scope.waker())) });
        }
    }

    /// The frame is no more where it was.
    #[cold]
    #[inline(never)]
    fn unfile(&self) {
        let Some(record) = self.link.take_filed() else {
            return;
        };
        let polled = Scope::with_current(|scope| scope.record().map(ptr::from_ref));
        if polled.is_some_and(|polled| ptr::eq(polled, record)) {
            // SAFETY: this is in a poll of the task.
            drop(unsafe { record.frames.remove(self.key.get()) });
        } else {
            record.note_gone(self.key.get(), Gone::Ended);
        }
    }

    /// It is being polled by the task of this record: it is no longer part of another.
    pub(super) fn leave_others(&self, record: &Record) {
        if !self.link.is_filed_in(record) {
            self.leave();
        }
    }

    /// It is being polled elsewhere.
    pub(super) fn leave(&self) {
        if let Some(other) = self.link.take_filed() {
            other.note_gone(self.key.get(), Gone::Moved);
        }
    }

    /// # Safety
    ///
    /// Nobody uses it any more.
    #[cold]
    #[inline(never)]
    unsafe fn end(&mut self) {
        // First, because wakers are dropped after it, and their destructors may panic.
        // SAFETY: as asserted by the caller.
        unsafe { ManuallyDrop::drop(&mut self.identity) };
        self.unfile();
        self.link.finish();
    }
}

impl Drop for Head {
    #[inline]
    fn drop(&mut self) {
        if self.link.leads_anywhere() || self.identity.is_dynamic() {
            // SAFETY: it is being dropped.
            unsafe { self.end() };
        }
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.identity.get().origin();
        f.debug_tuple("Head")
            .field(&origin)
            .field(&self.link)
            .finish()
    }
}

/// Polls `future` as a frame of the task that is being polled, or just so if there is none.
#[inline]
pub(super) fn poll<F: Future>(
    head: &Head,
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    let waker = cx.waker();
    let Some(scope) = Scope::frame(head, waker) else {
        return future.poll(cx);
    };
    let result = match scope.capture() {
        None => scope.enter(|| future.poll(cx)),
        Some(capture) => watched(&scope, capture, future, cx),
    };
    if result.is_ready() {
        if head.link.leads_anywhere() {
            head.unfile();
        }
    } else if !head.is_suspended_again(&scope) {
        head.suspended(&scope);
    }
    result
}

/// Polls a frame in a capture.
#[cold]
#[inline(never)]
fn watched<F: Future>(
    scope: &Scope<'_>,
    capture: CaptureRef,
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    scope.enter(|| capture.watch(cx, |cx| drive::body(future, cx)))
}
