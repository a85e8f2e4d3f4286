//! Represents the role of the poller, which alone may write most fields of a task header.

use std::marker::PhantomData;
use std::ops::Deref;
use std::task::Waker;

use super::clock::CoarseInstant;
use super::header::Header;
use super::last_poll::LastPoll;
use super::poll_state::WAKER;
use super::thread_state::ThreadState;
use crate::sync::Ordering;

/// Proves that the current code polls the task of this header, or drops its future.
///
/// Only one thread at a time can do so, because both need a mutable reference to the future. So methods of this type
/// may write the fields that belong to the poller.
#[derive(Clone, Copy)]
pub(super) struct Poller<'a> {
    header: &'static Header,
    /// The value stays on the thread that polls (it is not `Send`), and does not outlive the poll.
    _not_send: PhantomData<(&'a (), *const ())>,
}

impl Deref for Poller<'_> {
    type Target = Header;

    #[inline]
    fn deref(&self) -> &Header {
        self.header
    }
}

impl Poller<'_> {
    /// Takes the role of the poller.
    ///
    /// # Safety
    ///
    /// For as long as it uses the result, the caller must poll the task of this header, or drop its future, and the
    /// task must not have finished.
    #[inline]
    pub(super) unsafe fn new(header: &'static Header) -> Self {
        Self {
            header,
            _not_send: PhantomData,
        }
    }

    #[inline]
    pub(super) fn header(self) -> &'static Header {
        self.header
    }

    /// Returns the next poll, if it may take the fast path on this thread, whose state is `thread_state`. That is, if
    ///
    /// * the thread is outside any other task,
    /// * the task was last polled on the same thread, outside any other task, and with the same waker, or was made on
    ///   this thread and never polled, and
    /// * no flag requests anything of the poll.
    #[inline]
    pub(super) fn fast_path_poll(
        self,
        thread_state: &ThreadState,
        waker: &Waker,
    ) -> Option<LastPoll> {
        let (state, expected) = (self.poll_state.get(), thread_state.fast_path.get());
        debug_assert!(expected & WAKER != 0);
        let is_same = state == expected && self.has_same_waker(waker);
        if !is_same && state != expected & !WAKER || thread_state.is_in_task() {
            return None;
        }
        let (last_poll, has_wrapped) = self.last_poll().next(CoarseInstant::known()?);
        (!has_wrapped).then_some(last_poll)
    }

    /// Returns `true` if the header holds this waker. Runs no foreign code.
    #[inline]
    pub(super) fn has_same_waker(self, waker: &Waker) -> bool {
        // SAFETY: `WakerCell::contains` demands that the caller is the poller, which `self` proves, and that the cell
        // contains a waker, which `has_waker` has checked.
        self.has_waker() && unsafe { self.waker.contains(waker) }
    }

    /// Starts a poll: increments the number of the last poll, and stores the time.
    #[inline]
    pub(super) fn start_poll(self) {
        let (last_poll, has_wrapped) = self.last_poll().next(CoarseInstant::now());
        if has_wrapped {
            self.count_poll_wrap();
        }
        self.store_started(last_poll);
    }

    /// Stores a poll that starts.
    #[inline]
    pub(super) fn store_started(self, last_poll: LastPoll) {
        // Release: a thread that sees this poll also sees its thread in the state.
        self.last_poll.store(last_poll.to_bits(), Ordering::Release);
    }

    /// Counts that the number of the poll has wrapped around.
    #[cold]
    fn count_poll_wrap(self) {
        let side_table = self.side_table.get_or_insert();
        let poll_wraps = side_table.poll_wraps.load(Ordering::Relaxed);
        side_table
            .poll_wraps
            .store(poll_wraps.wrapping_add(1), Ordering::Relaxed);
    }

    /// Notes that the poll has ended and left the task suspended.
    #[inline]
    pub(super) fn note_suspended(self) {
        let last_poll = self.last_poll().ended();
        // Release: a thread that sees the end of this poll also sees the frames as the poll left them, or later.
        self.last_poll.store(last_poll.to_bits(), Ordering::Release);
    }

    /// Adds `more`, 1 or -1, to the number of polls that only answered requests.
    pub(super) fn count_answering_poll(self, more: i8) {
        let answering = &self.side_table.get_or_insert().answering_polls;
        let count = answering.load(Ordering::Relaxed);
        answering.store(count.saturating_add_signed(more.into()), Ordering::Relaxed);
    }
}
