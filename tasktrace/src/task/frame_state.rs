//! Stores the state that a traced future keeps of its frame: where the frame is registered, and its key there.
//!
//! Only the thread that polls or drops the future uses it, so one thread at a time. It may be out of date, because a
//! frame can end while its future is not in use. That does no harm: a header is never freed, and a key is not reused
//! before a billion changes of the table (see [`frames`](super::frames)).

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

use super::header::Header;
use super::metadata::{Metadata, PackedMetadata};
use super::poll_state::PollState;
use super::poller::Poller;
use super::registration::Registration;
use super::slot::{DetachReason, FrameKey};
use super::thread::ThreadIndex;
use super::thread_state::ThreadState;
use crate::origin::Identity;
use crate::runtime::RuntimeTaskId;

/// The state of a frame, which is part of every annotated call: two words. Owned by a
/// [`FrameOwner`](super::frame::FrameOwner).
pub(super) struct FrameState {
    /// The place of the future in the live tree: a frame or a task.
    registration: Registration,
    /// The bits of the [`FrameKey`] in that header. 0 until the frame is first registered.
    key: AtomicU64,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<FrameState>() == 16);

// A poll that panics may leave this state out of date, which is allowed: see the module.
impl UnwindSafe for FrameState {}
impl RefUnwindSafe for FrameState {}

impl FrameState {
    #[inline]
    pub(super) const fn new() -> Self {
        Self {
            registration: Registration::none(),
            key: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(super) fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Returns the key that the frame has in this header, if it is registered there.
    #[inline]
    pub(super) fn key_in(&self, header: &Header) -> Option<FrameKey> {
        self.registration
            .is_registered_in(header)
            .then(|| self.key())
    }

    #[inline]
    fn key(&self) -> FrameKey {
        FrameKey(self.key.load(Ordering::Relaxed))
    }

    /// Registers the frame, which is registered in no other header, below a registered parent. `poller` is the poller
    /// of the task that polls the frame. Returns `None` if there are too many frames.
    #[inline]
    pub(super) fn register_below(
        &self,
        identity: &Identity,
        poller: Poller<'_>,
        parent: FrameKey,
    ) -> Option<FrameKey> {
        let header = poller.header();
        let known = self.key_in(header);
        let key = poller.register(known, identity, parent, poller.last_poll())?;
        self.key.store(key.0, Ordering::Relaxed);
        // In this order also for a signal handler, which reads the key if the registration leads to the right header.
        compiler_fence(Ordering::SeqCst);
        self.registration.set_registered_in(header);
        Some(key)
    }

    /// Removes the frame, which the task of this header polls, from any other task.
    #[inline]
    pub(super) fn leave_other_tasks(&self, header: &Header) {
        if self.registration.is_registered() && !self.registration.is_registered_in(header) {
            self.leave_task();
        }
    }

    /// Removes the frame, which is being polled elsewhere, from the task that it is registered in.
    #[cold]
    #[inline(never)]
    pub(super) fn leave_task(&self) {
        if let Some((other, key)) = self.deregister() {
            other.mark_detached(key, DetachReason::Moved);
        }
    }

    /// Forgets where the frame is registered. Returns the header and the key there.
    pub(super) fn deregister(&self) -> Option<(&'static Header, FrameKey)> {
        let header = self.registration.deregister()?;
        Some((header, self.key()))
    }

    /// Makes the frame a task, whose first poll outside any other task has just begun on this thread.
    pub(super) fn make_task(&self, thread_state: &ThreadState, identity: &Identity) {
        if self.registration.is_registered() {
            self.leave_task();
        }
        let metadata = match identity {
            Identity::Static(meta) => PackedMetadata::of(meta),
            Identity::Dynamic(_) => Metadata::of_identity(identity).into_word(),
        };
        let thread = ThreadIndex::of(thread_state).map_or(0, |index| index.0);
        self.registration
            .make_task(Some(thread_state), metadata, PollState::on_thread(thread));
        if let Some(header) = self.registration.header() {
            header.note_runtime_task(RuntimeTaskId::current);
        }
    }

    /// Returns the registration to the caller that drops the future.
    pub(super) fn registration_mut(&mut self) -> &mut Registration {
        &mut self.registration
    }
}

impl fmt::Debug for FrameState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FrameState")
            .field(&self.registration)
            .finish()
    }
}
