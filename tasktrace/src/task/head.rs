//! What the future of a frame knows of itself: where the frame is filed, or that it is a task.
//!
//! It is used by whoever polls or drops the future, so by one thread at a time. A record is never freed and a key
//! is never used twice, so what it remembers may be out of date, but does no harm.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

use super::about::{About, Word};
use super::link::Link;
use super::local::Local;
use super::poller::Poller;
use super::record::Record;
use super::slot::{Gone, Key};
use super::thread::Token;
use super::turn::Turn;
use crate::host::Job;
use crate::origin::Identity;

/// In every annotated call: two words. [`FrameOwner`](super::frame::FrameOwner) owns it.
pub(super) struct Head {
    /// Where it is filed, or that it is a task.
    link: Link,
    /// The bits of the [`Key`] that it has in that record. 0 until it is filed for the first time.
    key: AtomicU64,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Head>() == 16);

// Whatever happens in a poll, what is remembered may be out of date: see above.
impl UnwindSafe for Head {}
impl RefUnwindSafe for Head {}

impl Head {
    #[inline]
    pub(super) const fn new() -> Self {
        Self {
            link: Link::none(),
            key: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// The key that it has in this record, if it is filed there.
    #[inline]
    pub(super) fn key_in(&self, record: &Record) -> Option<Key> {
        self.link.is_filed_in(record).then(|| self.key())
    }

    #[inline]
    fn key(&self) -> Key {
        Key(self.key.load(Ordering::Relaxed))
    }

    /// Files the frame, which is in no other record, below one that is filed. `poller` is that of the task that polls the
    /// frame. Returns `None` if there are too many frames.
    #[inline]
    pub(super) fn file_below(
        &self,
        identity: &Identity,
        poller: Poller<'_>,
        parent: Key,
    ) -> Option<Key> {
        let record = poller.record();
        let known = self.key_in(record);
        let key = poller.register(known, identity, parent, poller.stamp())?;
        self.key.store(key.0, Ordering::Relaxed);
        // In this order also for a signal handler, which reads the key where the record is right.
        compiler_fence(Ordering::SeqCst);
        self.link.set_filed_in(record);
        Some(key)
    }

    /// It is being polled by the task of this record: it is no longer part of another.
    #[inline]
    pub(super) fn leave_others(&self, record: &Record) {
        if self.link.leads_anywhere() && !self.link.is_filed_in(record) {
            self.leave_task();
        }
    }

    /// It is being polled elsewhere.
    #[cold]
    #[inline(never)]
    pub(super) fn leave_task(&self) {
        if let Some((other, key)) = self.take_filed() {
            other.note_gone(key, Gone::Moved);
        }
    }

    /// Where it was filed: it is no more.
    pub(super) fn take_filed(&self) -> Option<(&'static Record, Key)> {
        let record = self.link.take_filed()?;
        Some((record, self.key()))
    }

    /// Makes a task of the frame, whose first poll outside of any other task has just begun on this thread.
    pub(super) fn make_task(&self, local: &Local, identity: &Identity) {
        if self.link.leads_anywhere() {
            self.leave_task();
        }
        let about = match identity {
            Identity::Static(meta) => Word::of(meta),
            Identity::Dynamic(_) => About::of_identity(identity).into_word(),
        };
        let thread = Token::of(local).map_or(0, |token| token.0);
        self.link.make_task(Some(local), about, Turn::on(thread));
        if let Some(record) = self.link.record() {
            record.note_job(Job::current);
        }
    }

    /// The link, for who drops the future.
    pub(super) fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Head").field(&self.link).finish()
    }
}
