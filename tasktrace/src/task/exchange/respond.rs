//! The poller's side of an exchange: requests are taken and answered.

use std::task::Waker;

use crate::capture::RawTrace;
use crate::sync::MutexGuard;
use crate::task::answer::End;
use crate::task::foreign;
use crate::task::poller::Poller;
use crate::task::queue::{Queue, Replaced, Waiting};
use crate::task::turn::{CAPTURE, FINISHED, LENT, NESTED, PANICKED, PROBE, Turn, WAKER};

/// The purpose of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Request {
    /// For the task itself.
    None,
    /// For somebody who wants to see that it is made.
    Probe,
    /// To be captured.
    Capture,
}

impl Poller<'_> {
    /// A poll with this waker begins, on the thread of this number, in a poll of another task or not. Returns what it is
    /// for. A probe is taken; what has been asked for is taken back by the answer.
    pub(crate) fn begin_poll(self, waker: &Waker, thread: u32, is_nested: bool) -> Request {
        // The first poll stores it at its end.
        if self.has_waker() && !self.has_same_waker(waker) {
            self.replace_waker(waker);
        }
        let now = Turn::on(thread) | if is_nested { NESTED } else { 0 };
        // The last poll may have panicked, and was perhaps elsewhere.
        let others = !(Turn::on(u32::MAX) | NESTED | PANICKED | PROBE);
        let mut turn = self.turn.get();
        if turn != turn & others | now {
            turn = self.turn.change(|turn| turn & others | now);
        }
        match turn & (CAPTURE | PROBE) {
            0 => Request::None,
            PROBE => Request::Probe,
            _ => Request::Capture,
        }
    }

    /// The first poll, with this waker, has left the task suspended. Who has asked in it is answered
    /// if it `was_asked` for, or else woken for.
    pub(crate) fn end_first_poll(self, waker: &Waker, was_asked: bool) {
        if self.turn.has(WAKER) {
            return;
        }
        // Without one, the task cannot be asked before its next poll.
        let Some(own) = foreign::clone(waker) else {
            return;
        };
        // SAFETY: there is no waker, so nobody else looks at the place, and nothing is in it.
        unsafe { self.waker.put(own) };
        let turn = self.turn.set_own(WAKER);
        if !was_asked && turn & (CAPTURE | PROBE) != 0 {
            self.turn.set(PROBE);
            foreign::wake_by_ref(waker);
        }
    }

    /// There is a waker.
    #[cold]
    fn replace_waker(self, waker: &Waker) {
        // Without one, the task is asked by its last waker until the next poll.
        let Some(waker) = foreign::clone(waker) else {
            return;
        };
        let turn = self.turn.clear(WAKER);
        // If it is not lent, nobody will look at it before there is one again.
        let is_lent = turn & LENT != 0;
        let mut place = is_lent.then(Replaced::place).flatten();
        let queue = is_lent.then(|| self.lock_queue());
        // SAFETY: `WAKER` is not set, so nobody begins to look at the place. Who has the waker on loan looked before, with the
        // queue locked, and if there is such a thread, the queue is locked here. So this thread alone uses the place. There
        // was a waker in it, as asserted by the caller.
        let old = unsafe {
            let old = self.waker.take();
            self.waker.put(waker);
            old
        };
        let old = retire(queue, old, &mut place);
        self.turn.set(WAKER);
        foreign::drop(old);
    }

    /// Answers all that have asked.
    pub(crate) fn answer(self, answer: RawTrace) {
        self.take_waiting().give_all(Ok(answer));
    }

    /// A poll panicked. The future may be polled again, but whoever asked has no answer.
    pub(crate) fn panicked(self) {
        let turn = self.turn.change(|turn| match turn & FINISHED {
            0 => turn | PANICKED,
            _ => turn,
        });
        if turn & CAPTURE != 0 {
            self.take_waiting().give_all(Err(End::Panicked));
        }
    }

    /// Answers all waiting requests with the error that the task cannot be captured.
    #[cold]
    pub(crate) fn refuse(self, reason: End) {
        self.take_waiting().give_all(Err(reason));
    }

    /// The future has resolved or is gone. Returns what is to be dropped.
    pub(crate) fn finish(self) -> Option<Waker> {
        let turn = self.turn.change(|turn| turn & !WAKER | FINISHED);
        let has_waker = turn & WAKER != 0;
        if turn & (CAPTURE | LENT) == 0 {
            // Nobody waits, and nobody will: nor look at the waker.
            // SAFETY: so the caller has the place to himself, and there was a waker.
            return has_waker.then(|| unsafe { self.waker.take() });
        }
        let mut place = Replaced::place();
        let mut queue = self.lock_queue();
        self.turn.clear(CAPTURE);
        let waiting = std::mem::replace(&mut queue.waiting, Waiting::nobody());
        // SAFETY: with the queue locked, the caller has the place to himself, and there was a waker.
        let waker = has_waker.then(|| unsafe { self.waker.take() });
        let waker = match waker {
            Some(waker) => retire(Some(queue), waker, &mut place),
            None => {
                drop(queue);
                None
            }
        };
        waiting.give_all(Err(End::Finished));
        waker
    }

    pub(super) fn take_waiting(self) -> Waiting<RawTrace> {
        let mut queue = self.lock_queue();
        self.turn.clear(CAPTURE);
        std::mem::replace(&mut queue.waiting, Waiting::nobody())
    }
}

/// Unlocks the queue, if there has been anybody who may have the waker on loan. Returns what is to be
/// dropped of a waker that is not the task's any more.
fn retire(
    queue: Option<MutexGuard<'_, Queue<RawTrace>>>,
    waker: Waker,
    place: &mut Option<Box<Replaced>>,
) -> Option<Waker> {
    match queue {
        Some(mut queue) => queue.retire(waker, place),
        None => Some(waker),
    }
}
