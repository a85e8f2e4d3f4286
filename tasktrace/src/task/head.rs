//! What the future of a frame knows of itself: where the frame is filed, or that it is a task.
//!
//! It is used by whoever polls or drops the future, so by one thread at a time. A record is never freed and a key
//! is never used twice, so what it remembers may be out of date, but does no harm.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering, compiler_fence};

use super::about::{About, Word};
use super::link::Link;
use super::local::Local;
use super::name::NameRef;
use super::poller::Poller;
use super::record::Record;
use super::reference::RecordRef;
use super::slot::{Filed, Gone, Key, Slot};
use super::thread::Token;
use super::turn::Turn;
use crate::host::Job;
use crate::sync::Inside;

/// In every annotated call: three words. [`FrameOwner`](super::frame::FrameOwner) owns it.
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

    /// Files the frame below one that is filed. `poller` is that of the task that polls the frame.
    pub(super) fn file_below(
        &self,
        name: NameRef<'_>,
        poller: Poller<'_>,
        parent: Key,
    ) -> Option<Key> {
        // An allocator that is called meanwhile does not file frames.
        let _inside = Inside::enter();
        self.leave_others(poller.record());
        if let Some(key) = self.key_in(poller.record())
            && poller.frames().set_parent(key, parent)
        {
            return Some(key);
        }
        let filed = poller.frames().insert(name, parent, poller.stamp())?;
        self.set_filed_in(poller.record(), filed);
        Some(filed.key())
    }

    #[inline(always)]
    pub(super) fn set_filed_in(&self, record: &Record, filed: Filed) {
        self.filed.set(filed);
        // In this order also for a signal handler, which reads the key where the record is right.
        compiler_fence(Ordering::SeqCst);
        self.link.set_filed_in(record);
    }

    /// It is being polled by the task of this record: it is no longer part of another.
    pub(super) fn leave_others(&self, record: &Record) {
        if !self.link.is_filed_in(record) {
            self.leave_task();
        }
    }

    /// It is being polled elsewhere.
    pub(super) fn leave_task(&self) {
        if let Some((other, key)) = self.take_filed() {
            other.note_gone(key, Gone::Moved);
        }
    }

    /// Where it was filed: it is no more.
    pub(super) fn take_filed(&self) -> Option<(&'static Record, Key)> {
        let record = self.link.take_filed()?;
        Some((record, self.filed.get().key()))
    }

    /// Makes a task of the frame, whose first poll outside of any other task has just begun. `name` is what it
    /// is known by. Returns its poller; `None` if it has been a task and has finished.
    #[inline]
    pub(super) fn make_task(&self, local: &Local, name: NameRef<'_>) -> Option<Poller<'_>> {
        if self.link.has_finished() {
            return None;
        }
        self.leave_task();
        let about = match name.as_static() {
            Some(meta) => Word::of(meta),
            None => About::of_identity(&name.get()).into_word(),
        };
        let thread = Token::of(local).map_or(0, |token| token.0);
        let record = RecordRef::new(Some(local), about, Turn::on(thread));
        // SAFETY: the caller polls the future, and is the first to know of the task.
        let poller = unsafe { self.link.set_task(record) };
        poller.note_job(Job::current);
        Some(poller)
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
        // SAFETY: `set` has written what `into_parts` has made, or nobody has written, and the slot is null. Both words
        // are of one `Filed`: who polls or drops the future writes and reads them, and a signal handler on that thread
        // only looks at the key.
        unsafe { Filed::from_parts(key, self.slot.load(Ordering::Relaxed)) }
    }

    #[inline(always)]
    fn set(&self, filed: Filed) {
        let (key, slot) = filed.into_parts();
        self.key.store(key, Ordering::Relaxed);
        self.slot.store(slot, Ordering::Relaxed);
    }
}

/// The registration of a task whose future is polled outside of any other traced future.
pub(super) trait Root {
    fn link(&self) -> &Link;

    /// Its task is polled outside of any other: it is not a frame of one any more.
    fn leave_outer(&self);
}

/// A frame that its first poll outside of any other task has made a task.
impl Root for Head {
    #[inline(always)]
    fn link(&self) -> &Link {
        &self.link
    }

    /// It has left them when it became one: see [`Head::make_task`].
    fn leave_outer(&self) {}
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Head").field(&self.link).finish()
    }
}
