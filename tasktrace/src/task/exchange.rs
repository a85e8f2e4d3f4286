//! How a task is asked for a trace, and how it answers.
//!
//! Two sides share an [`Exchange`]:
//!
//! * the **poller**: whoever polls or drops the task. There is one at a time, because the future
//!   is borrowed mutably, and each poll happens after the one before it;
//! * **askers**: any number of threads, at any time. Some want a trace; some only want to know
//!   whether the task is polled, and *probe* it.
//!
//! | what | written by | read by |
//! |---|---|---|
//! | [`turn`](super::turn) | askers, with the queue locked; droppers of frames and poller: bit by bit | anyone |
//! | the waker | poller | poller; askers, with the queue locked, after they have set `LENT` |
//! | the [`Queue`] | with its lock | with its lock |
//!
//! Most tasks are never asked, so there is a queue only from the first question on.
//!
//! # No request is lost
//!
//! An asker locks the queue, adds itself, sets `CAPTURE`, and if by then there was a waker (`WAKER`)
//! borrows that, unlocks, and wakes. A poller that has stored a new waker sets `WAKER`. Both change
//! the same word, so one comes first: either the asker, and the poller sees `CAPTURE` then, which it looks
//! for after that; or the poller, and the asker wakes the waker of this poll, which obliges the executor
//! to poll again. A poller that is handed the waker it has already stored does neither: if it does not
//! see `CAPTURE`, the asker is still going to wake that same waker.
//!
//! The first waker is stored when the first poll has ended, because most tasks that resolve in it are
//! never asked. If somebody has asked by then, the poller wakes the task itself.
//!
//! # Whose the waker is
//!
//! An asker *borrows* the waker, so that it need not call its `clone`. In the step in which it finds
//! `WAKER` it sets `LENT`, and takes that back when nobody has the waker on loan any more. A poller that
//! wants to replace the waker clears `WAKER` first. If `LENT` was not set then, nobody has the waker, and
//! nobody will before `WAKER` is set again: it is the poller's. If it was, the poller locks the queue,
//! and while anybody has the old waker on loan, leaves it there for the last borrower to drop.
//!
//! # Probes
//!
//! A probe is a wake like any other, and what comes of it is for the prober to see in the count of
//! polls. It goes the way of a request so that the poll that it causes knows what it is for: a poll
//! that was made to find out whether there is one does not count as progress (see
//! [`drive`](super::drive)). The bit is taken by the first poll that sees it, so by the one that the
//! wake obliges the executor to make or by one before that; in the latter case the other is taken
//! for an ordinary poll, and a time is less than it could be.
//!
//! # Nobody else's code under the lock
//!
//! Wakers, answers and replaced wakers are woken, delivered and dropped after unlocking. An answer goes
//! to a place that the asker has made for it: see [`answer`](super::answer).
//!
//! # What the poller pays
//!
//! While nobody asks: a comparison of two wakers and of a word.

use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{RawWaker, Waker};

use super::answer::{Answer, Answers, Giver};
use super::beside::Beside;
use super::turn::{CAPTURE, FINISHED, LENT, NESTED, PANICKED, PROBE, Turn, WAKER};
use crate::sync::{MutexGuard, UnsafeCell, lock};

/// Why there is no answer, and never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The future has resolved, or was dropped.
    Finished,
    /// A poll of the future panicked while it was being asked.
    Panicked,
}

/// What has become of the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It can be polled.
    Good,
    /// Its last poll has panicked. It can be polled.
    Panicked,
    /// It has resolved, or is gone.
    Finished,
}

/// What this poll is for.
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

/// The place for the waker of a task. There is one in it while the word of the task says `WAKER`.
pub(crate) struct WakerCell(UnsafeCell<MaybeUninit<Waker>>);

impl WakerCell {
    pub(crate) fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// Whether it is the same waker, without calling anybody's code.
    ///
    /// # Safety
    ///
    /// The caller is the poller, and there is a waker.
    #[inline]
    pub(super) unsafe fn has(&self, waker: &Waker) -> bool {
        // SAFETY: as asserted by the caller, there is one; only the poller writes, and that is who is
        // reading.
        self.0
            .with(|known| unsafe { (*known).assume_init_ref().will_wake(waker) })
    }

    /// # Safety
    ///
    /// The caller has the place to himself, and there is a waker in it, which is taken.
    unsafe fn take(&self) -> Waker {
        // SAFETY: as asserted by the caller.
        self.0
            .with_mut(|known| unsafe { (*known).assume_init_read() })
    }

    /// # Safety
    ///
    /// The caller has the place to himself, and there is nothing in it.
    unsafe fn put(&self, waker: Waker) {
        // SAFETY: as asserted by the caller.
        self.0.with_mut(|known| unsafe { (*known).write(waker) });
    }

    /// The place as such, for a record that is not in use: it has room for a pointer.
    pub(super) fn unused<R>(&self, use_it: impl FnOnce(*mut MaybeUninit<Waker>) -> R) -> R {
        self.0.with_mut(use_it)
    }
}

/// What the two sides share.
pub(crate) struct Exchange<'a, T> {
    pub(super) turn: &'a Turn,
    pub(super) waker: &'a WakerCell,
    pub(super) beside: &'a Beside<T>,
}

impl<T> Clone for Exchange<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Exchange<'_, T> {}

/// Those who have asked. There is one from the first question on.
pub(crate) struct Queue<T> {
    waiting: Waiting<T>,
    /// How many have the waker on loan.
    borrowers: usize,
    /// Wakers that somebody may have on loan, and that the last borrower is to drop.
    replaced: Vec<Waker>,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            waiting: Waiting::nobody(),
            borrowers: 0,
            replaced: Vec::new(),
        }
    }

    /// What is to be dropped now, of a waker that is not the task's any more.
    fn retire(&mut self, waker: Waker) -> Option<Waker> {
        if self.borrowers == 0 {
            return Some(waker);
        }
        self.replaced.push(waker);
        None
    }
}

/// Those who wait for an answer. It is one at most, most of the time.
struct Waiting<T> {
    first: Option<Giver<T>>,
    others: Box<[Giver<T>]>,
}

impl<T> Waiting<T> {
    fn nobody() -> Self {
        Self {
            first: None,
            others: Box::default(),
        }
    }

    fn push(&mut self, giver: Giver<T>) {
        match &mut self.first {
            first @ None => *first = Some(giver),
            Some(_) => self.change_others(|others| others.push(giver)),
        }
    }

    fn remove(&mut self, answer: &Answer<T>) -> Option<Giver<T>> {
        let is_it = |giver: &Giver<T>| giver.is_of(answer);
        if self.first.as_ref().is_some_and(is_it) {
            let next = self.change_others(Vec::pop);
            return std::mem::replace(&mut self.first, next);
        }
        let place = self.others.iter().position(is_it)?;
        Some(self.change_others(|others| others.swap_remove(place)))
    }

    fn change_others<R>(&mut self, change: impl FnOnce(&mut Vec<Giver<T>>) -> R) -> R {
        let mut others = std::mem::take(&mut self.others).into_vec();
        let result = change(&mut others);
        self.others = others.into();
        result
    }

    fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

impl<T: Clone> Waiting<T> {
    fn give_all(self, answer: Result<T, End>) {
        for other in self.others {
            give(other, answer.clone());
        }
        if let Some(first) = self.first {
            give(first, answer);
        }
    }
}

fn give<T>(giver: Giver<T>, answer: Result<T, End>) {
    // It wakes the asker. Should that panic, then it is neither the task that did, nor the
    // other askers, and the hook has reported it.
    let _ = catch_unwind(AssertUnwindSafe(|| giver.give(answer)));
}

impl<'a, T: Clone> Exchange<'a, T> {
    fn lock(self) -> MutexGuard<'a, Queue<T>> {
        lock(&self.beside.extras_or_insert().queue)
    }

    // The poller's side.

    /// A poll with this waker is about to begin, on the thread of this number, in a poll of another task or
    /// not. Whether it is for somebody who asks: what it is for, [`begin_poll`](Self::begin_poll) says.
    ///
    /// # Safety
    ///
    /// The caller is the poller.
    pub(crate) unsafe fn prepare_poll(self, waker: &Waker, thread: u32, is_nested: bool) -> bool {
        // The first poll stores it at its end.
        // SAFETY: the caller is the poller.
        if self.turn.has(WAKER) && !unsafe { self.waker.has(waker) } {
            // SAFETY: likewise, and there is one.
            unsafe { self.replace_waker(waker) };
        }
        let now = Turn::on(thread) | if is_nested { NESTED } else { 0 };
        // The last poll may have panicked, and was perhaps elsewhere.
        let others = !(Turn::on(u32::MAX) | NESTED | PANICKED);
        let mut turn = self.turn.get();
        if turn != turn & others | now {
            turn = self.turn.change(|turn| turn & others | now);
        }
        turn & (CAPTURE | PROBE) != 0
    }

    /// A poll begins for which [`prepare_poll`](Self::prepare_poll) has said that it is for somebody who
    /// asks: what it is for. A probe is taken; what has been asked for is taken back by the answer.
    pub(crate) fn request(self) -> Request {
        let turn = self.turn.clear(PROBE);
        match turn & (CAPTURE | PROBE) {
            0 => Request::None,
            PROBE => Request::Probe,
            _ => Request::Capture,
        }
    }

    /// Both of these.
    ///
    /// # Safety
    ///
    /// The caller is the poller.
    pub(crate) unsafe fn begin_poll(self, waker: &Waker, thread: u32, is_nested: bool) -> Request {
        // SAFETY: the caller is the poller.
        match unsafe { self.prepare_poll(waker, thread, is_nested) } {
            true => self.request(),
            false => Request::None,
        }
    }

    /// The first poll, with this waker, has left the task suspended. Who has asked in it is answered
    /// if it `was_asked` for, or else woken for.
    ///
    /// # Safety
    ///
    /// The caller is the poller, and there is no waker.
    pub(crate) unsafe fn end_first_poll(self, waker: &Waker, was_asked: bool) {
        // SAFETY: nobody but the caller looks at the place while there is no waker.
        unsafe { self.waker.put(waker.clone()) };
        let turn = self.turn.set_own(WAKER);
        if !was_asked && turn & (CAPTURE | PROBE) != 0 {
            waker.wake_by_ref();
        }
    }

    /// # Safety
    ///
    /// The caller is the poller, and there is a waker.
    #[cold]
    unsafe fn replace_waker(self, waker: &Waker) {
        let waker = waker.clone();
        let turn = self.turn.clear(WAKER);
        // If it is not lent, nobody will look at it before there is one again.
        let queue = (turn & LENT != 0).then(|| self.lock());
        // SAFETY: so, or because the queue is locked, the caller has the place to himself.
        let old = unsafe {
            let old = self.waker.take();
            self.waker.put(waker);
            old
        };
        let old = retire(queue, old);
        self.turn.set(WAKER);
        drop(old);
    }

    /// Answers all that have asked.
    pub(crate) fn answer(self, answer: T) {
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

    /// The future has resolved or is gone. Returns what is to be dropped.
    ///
    /// # Safety
    ///
    /// The caller is the poller.
    pub(crate) unsafe fn finish(self) -> Option<Waker> {
        let turn = self.turn.change(|turn| turn & !WAKER | FINISHED);
        let has_waker = turn & WAKER != 0;
        if turn & (CAPTURE | LENT) == 0 {
            // Nobody waits, and nobody will: nor look at the waker.
            // SAFETY: so the caller has the place to himself, and there was a waker.
            return has_waker.then(|| unsafe { self.waker.take() });
        }
        let mut queue = self.lock();
        self.turn.clear(CAPTURE);
        let waiting = std::mem::replace(&mut queue.waiting, Waiting::nobody());
        // SAFETY: with the queue locked, the caller has the place to himself, and there was a waker.
        let waker = has_waker.then(|| unsafe { self.waker.take() });
        let waker = waker.and_then(|waker| retire(Some(queue), waker));
        waiting.give_all(Err(End::Finished));
        waker
    }

    /// Takes the waker out of a record that is not in use any more.
    ///
    /// # Safety
    ///
    /// Nobody else uses it.
    #[inline]
    pub(crate) unsafe fn reset(self) -> Option<Waker> {
        let has_waker = self.turn.has(WAKER);
        // SAFETY: as asserted by the caller, and there is one.
        has_waker.then(|| unsafe { self.waker.take() })
    }

    fn take_waiting(self) -> Waiting<T> {
        let mut queue = self.lock();
        self.turn.clear(CAPTURE);
        std::mem::replace(&mut queue.waiting, Waiting::nobody())
    }

    // The askers' side.

    #[inline]
    pub(crate) fn standing(self) -> Standing {
        match self.turn.get() & (FINISHED | PANICKED) {
            0 => Standing::Good,
            PANICKED => Standing::Panicked,
            _ => Standing::Finished,
        }
    }

    /// Whether somebody waits for an answer.
    pub(crate) fn is_asked(self) -> bool {
        self.turn.has(CAPTURE)
    }

    /// Adds a question and wakes the task.
    pub(crate) fn ask(self) -> Result<Answer<T>, End> {
        self.ask_in(&mut Answers::new(1))
    }

    /// The same, as one of many.
    pub(crate) fn ask_in(self, answers: &mut Answers<T>) -> Result<Answer<T>, End> {
        if self.turn.has(FINISHED) {
            return Err(End::Finished);
        }
        let (giver, answer) = answers.promise();
        let mut queue = self.lock();
        queue.waiting.push(giver);
        match self.request_and_wake(CAPTURE, queue) {
            true => Ok(answer),
            false => {
                self.withdraw(&answer);
                Err(End::Finished)
            }
        }
    }

    /// Wakes the task to see whether it is polled. Does nothing if it has ended, or if its first poll
    /// has not: then there is nothing to wake it with. Neither while the waker is being replaced: then a
    /// poll is about to begin that the caller, who has read the number of polls before this, will see.
    pub(crate) fn probe(self) {
        if self.turn.get() & (FINISHED | WAKER) == WAKER {
            let queue = self.lock();
            self.request_and_wake(PROBE, queue);
        }
    }

    /// Whether the task has not finished: then it learns of the request.
    fn request_and_wake(self, what: u32, mut queue: MutexGuard<'_, Queue<T>>) -> bool {
        let turn = self.turn.change(|turn| match turn & (FINISHED | WAKER) {
            WAKER => turn | what | LENT,
            0 => turn | what,
            _ => turn,
        });
        if turn & (FINISHED | WAKER) == WAKER {
            // SAFETY: there was a waker, and it is read with the queue locked, after it has been said that
            // it is lent: whoever wants to replace it locks the queue. It is a copy of one that is not
            // dropped while it is on loan, and is not dropped itself.
            let waker = self.waker.0.with(|waker| unsafe {
                let waker = (*waker).assume_init_ref();
                Waker::from_raw(RawWaker::new(waker.data(), waker.vtable()))
            });
            queue.borrowers += 1;
            drop(queue);
            let loan = Loan {
                waker: ManuallyDrop::new(waker),
                exchange: self,
            };
            // Should that panic, then it is not who asks that did, and the hook has reported it. The
            // question stands all the same.
            let _ = catch_unwind(AssertUnwindSafe(move || {
                let loan = loan;
                loan.waker.wake_by_ref();
            }));
        }
        turn & FINISHED == 0
    }

    /// Takes a question back, if it has not been answered.
    pub(crate) fn withdraw(self, answer: &Answer<T>) {
        let mut queue = self.lock();
        let withdrawn = queue.waiting.remove(answer);
        if queue.waiting.is_empty() {
            self.turn.clear(CAPTURE);
        }
        drop(queue);
        drop(withdrawn);
    }
}

/// Unlocks the queue, if there has been anybody who may have the waker on loan. Returns what is to be
/// dropped of a waker that is not the task's any more.
fn retire<T>(queue: Option<MutexGuard<'_, Queue<T>>>, waker: Waker) -> Option<Waker> {
    match queue {
        Some(mut queue) => queue.retire(waker),
        None => Some(waker),
    }
}

/// A waker on loan, which an asker gives back also when it panics.
struct Loan<'a, T: Clone> {
    waker: ManuallyDrop<Waker>,
    exchange: Exchange<'a, T>,
}

impl<T: Clone> Drop for Loan<'_, T> {
    fn drop(&mut self) {
        let mut queue = self.exchange.lock();
        queue.borrowers -= 1;
        let replaced = match queue.borrowers {
            0 => {
                self.exchange.turn.clear(LENT);
                std::mem::take(&mut queue.replaced)
            }
            _ => Vec::new(),
        };
        drop(queue);
        drop(replaced);
    }
}

#[cfg(all(test, tasktrace_loom))]
mod model;
