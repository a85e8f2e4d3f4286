//! The role of the one who polls a task: it alone writes what others only read.

use std::marker::PhantomData;
use std::ops::Deref;
use std::task::Waker;

use super::clock::Tick;
use super::local::Local;
use super::record::Record;
use super::stamp::Stamp;
use super::turn::WAKER;
use crate::sync::Ordering;

/// Proves that whoever has it polls the task of this record, or drops its future. There is one thread at a time that
/// does, because both take the future by a mutable reference.
#[derive(Clone, Copy)]
pub(super) struct Poller<'a> {
    record: &'static Record,
    /// It stays on the thread that polls, and does not outlive the poll.
    of_poll: PhantomData<(&'a (), *const ())>,
}

impl Deref for Poller<'_> {
    type Target = Record;

    #[inline]
    fn deref(&self) -> &Record {
        self.record
    }
}

impl Poller<'_> {
    /// # Safety
    ///
    /// For as long as it is used, the caller polls the task of this record, or drops its future, and that has not
    /// finished.
    #[inline]
    pub(super) unsafe fn new(record: &'static Record) -> Self {
        Self {
            record,
            of_poll: PhantomData,
        }
    }

    #[inline]
    pub(super) fn record(self) -> &'static Record {
        self.record
    }

    /// The stamp of the poll that is to begin on the thread that has this, if there is nothing to be said of it: it is
    /// outside of any other task, on the same thread as the last, with the same waker if it is not the first, and nobody
    /// wants anything.
    #[inline]
    pub(super) fn usual_poll(self, local: &Local, waker: &Waker) -> Option<Stamp> {
        let (turn, usual) = (self.turn.get(), local.usual.get());
        debug_assert!(usual & WAKER != 0);
        let is_same = turn == usual && self.has_same_waker(waker);
        if !is_same && turn != usual & !WAKER || local.is_in_task() {
            return None;
        }
        let (stamp, begin_again) = self.stamp().next(Tick::known()?);
        (!begin_again).then_some(stamp)
    }

    /// Whether there is a waker, and it is this one. Calls nobody's code.
    #[inline]
    pub(super) fn has_same_waker(self, waker: &Waker) -> bool {
        // SAFETY: the poller alone writes, and there is a waker.
        self.has_waker() && unsafe { self.waker.has(waker) }
    }

    /// The beginning of a poll.
    #[inline]
    pub(super) fn note_poll(self) {
        let (stamp, begin_again) = self.stamp().next(Tick::now());
        if begin_again {
            self.begin_round();
        }
        self.note_poll_of(stamp);
    }

    /// The same of the poll that is to have this stamp.
    #[inline]
    pub(super) fn note_poll_of(self, stamp: Stamp) {
        // Release: whoever sees it sees on which thread that is.
        self.stamp.store(stamp.to_bits(), Ordering::Release);
    }

    #[cold]
    fn begin_round(self) {
        let extras = self.extras.get_or_insert();
        let rounds = extras.rounds.load(Ordering::Relaxed);
        extras
            .rounds
            .store(rounds.wrapping_add(1), Ordering::Relaxed);
    }

    /// The end of a poll that has left the task suspended.
    #[inline]
    pub(super) fn note_settled(self) {
        let stamp = self.stamp().ended();
        // Whoever sees it finds the frames as that poll has left them, or later.
        self.stamp.store(stamp.to_bits(), Ordering::Release);
    }

    /// Counts a poll as one that only answered a request, or takes that back.
    pub(super) fn count_asked_poll(self, more: i8) {
        let asked = &self.extras.get_or_insert().asked_polls;
        let count = asked.load(Ordering::Relaxed);
        asked.store(count.saturating_add_signed(more.into()), Ordering::Relaxed);
    }
}
