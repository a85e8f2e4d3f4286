//! How a task is asked for a trace, and how it answers.
//!
//! Two sides share an [`Exchange`]:
//!
//! * the **poller**: whoever polls or drops the task. There is one at a time, because the future
//!   is borrowed mutably, and each poll happens after the one before it;
//! * **askers**: any number of threads, at any time. Some want a trace; some only want to know
//!   whether the task is polled, and *probe* it.
//!
//! | field | written by | read by |
//! |---|---|---|
//! | `requested` | askers, with the queue locked; droppers of frames and poller, bit by bit | poller, without |
//! | `standing` | poller | anyone |
//! | `waker` | poller, with the queue locked | poller, without; askers, with the queue locked |
//! | `queue` | with its lock | with its lock |
//!
//! # No request is lost
//!
//! An asker locks the queue, adds itself, sets `requested`, borrows the waker, unlocks, and wakes. A
//! poller that is handed a new waker stores it with the queue locked and then reads `requested`. So
//! either the poller's lock came first, and the asker wakes the waker of this poll, which obliges
//! the executor to poll again; or the asker's came first, and this poll sees `requested`. A poller
//! that is handed the waker it has already stored need not lock: if it does not see `requested`,
//! the asker is still going to wake that same waker.
//!
//! The first waker is stored when the first poll has ended, because most tasks that resolve in it are
//! never asked. If somebody has asked by then, the poller wakes the task itself.
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
//! An asker *borrows* the waker, so that it need not call its `clone`: it notes that in the queue,
//! and while anybody has the waker on loan, a poller that replaces it does not drop it, but leaves
//! it in the queue for the last borrower. Wakers, answers and replaced wakers are woken, delivered
//! and dropped after unlocking.
//!
//! An answer goes to a place that the asker has made for it: see [`answer`](super::answer).
//!
//! # What the poller pays
//!
//! While nobody asks: a comparison of two wakers and a load.

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, catch_unwind};
use std::task::{RawWaker, Waker};

use super::answer::{Answer, Answers, Giver};
use crate::sync::{AtomicU8, Mutex, MutexGuard, Ordering, UnsafeCell, lock};

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

/// In `requested`: somebody waits for a trace.
const CAPTURE: u8 = 1;
/// In `requested`: somebody has woken the task to see whether it is polled.
const PROBE: u8 = 2;

/// In `requested`, for the poller itself: the next poll is not like the last, because frames have ended
/// elsewhere, or because the last has panicked.
const UNUSUAL: u8 = 4;

/// The layout is as written: see [`Record`](super::record::Record).
#[repr(C)]
pub(crate) struct Exchange<T> {
    requested: AtomicU8,
    standing: AtomicU8,
    waker: UnsafeCell<Option<Waker>>,
    queue: Mutex<Queue<T>>,
}

// SAFETY: `waker` is written by the poller only, with the queue locked. It is read by the poller,
// who cannot be writing it at the same time, and by askers with the queue locked, when nobody is.
// There is one poller at a time: its methods are `unsafe` and demand it.
unsafe impl<T: Send> Sync for Exchange<T> {}

// A panic in a poll is one of the things that may happen to a task, and is told to who asks.
impl<T> RefUnwindSafe for Exchange<T> {}

struct Queue<T> {
    end: Option<End>,
    waiting: Waiting<T>,
    /// How many have the waker on loan.
    borrowers: usize,
    /// Wakers that somebody may have on loan, and that the last borrower is to drop.
    replaced: Vec<Waker>,
}

impl<T> Queue<T> {
    /// What is to be dropped now, of a waker that is not the task's any more.
    fn retire(&mut self, waker: Option<Waker>) -> Option<Waker> {
        if self.borrowers == 0 {
            return waker;
        }
        self.replaced.extend(waker);
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

impl<T: Clone> Exchange<T> {
    pub(crate) fn new() -> Self {
        Self {
            requested: AtomicU8::new(0),
            standing: AtomicU8::new(Standing::Good as u8),
            waker: UnsafeCell::new(None),
            queue: Mutex::new(Queue {
                end: None,
                waiting: Waiting::nobody(),
                borrowers: 0,
                replaced: Vec::new(),
            }),
        }
    }

    // The poller's side.

    /// Whether this poll, with this waker, is one like the last, and nobody asks.
    ///
    /// # Safety
    ///
    /// The caller is the poller.
    #[inline]
    pub(crate) unsafe fn is_quiet(&self, waker: &Waker) -> bool {
        // SAFETY: as asserted by the caller.
        self.requested.load(Ordering::Acquire) == 0 && unsafe { self.has(waker) }
    }

    /// A poll with this waker is about to begin. Whether it is for somebody who asks: what it is for,
    /// [`begin_poll`](Self::begin_poll) says.
    ///
    /// # Safety
    ///
    /// The caller is the poller.
    pub(crate) unsafe fn prepare_poll(&self, waker: &Waker) -> bool {
        // The last may have panicked.
        self.standing.store(Standing::Good as u8, Ordering::Relaxed);
        // SAFETY: the caller is the poller.
        unsafe {
            // The first poll stores it at its end.
            if self.has_any() && !self.has(waker) {
                self.set_waker(waker);
            }
        }
        let requested = self.requested.load(Ordering::Acquire);
        if requested & UNUSUAL != 0 {
            // Acquire: of all whose bit this is, it is seen what they have noted.
            self.requested.fetch_and(!UNUSUAL, Ordering::Acquire);
        }
        requested & (CAPTURE | PROBE) != 0
    }

    /// A poll with this waker begins: what it is for.
    ///
    /// # Safety
    ///
    /// The caller is the poller.
    pub(crate) unsafe fn begin_poll(&self, waker: &Waker) -> Request {
        // SAFETY: the caller is the poller.
        match unsafe { self.prepare_poll(waker) } {
            true => self.request(),
            false => Request::None,
        }
    }

    /// The first poll, with this waker, has left the task suspended. Who has asked in it is answered
    /// if it `was_asked` for, or else woken for.
    ///
    /// # Safety
    ///
    /// The caller is the poller.
    pub(crate) unsafe fn end_first_poll(&self, waker: &Waker, was_asked: bool) {
        // SAFETY: the caller is the poller.
        unsafe { self.set_waker(waker) };
        if !was_asked && self.requested.load(Ordering::Acquire) & (CAPTURE | PROBE) != 0 {
            waker.wake_by_ref();
        }
    }

    /// Whether there is a waker to wake the task with.
    ///
    /// # Safety
    ///
    /// The caller is the poller.
    #[inline]
    pub(crate) unsafe fn has_any(&self) -> bool {
        // SAFETY: only the poller writes, and that is who is reading.
        self.waker.with(|known| unsafe { &*known }.is_some())
    }

    /// # Safety
    ///
    /// The caller is the poller.
    #[inline]
    unsafe fn has(&self, waker: &Waker) -> bool {
        self.waker.with(|known| {
            // SAFETY: only the poller writes, and that is who is reading.
            let known = unsafe { &*known }.as_ref();
            known.is_some_and(|known| known.will_wake(waker))
        })
    }

    /// # Safety
    ///
    /// The caller is the poller.
    #[cold]
    unsafe fn set_waker(&self, waker: &Waker) {
        let waker = waker.clone();
        let mut queue = lock(&self.queue);
        // SAFETY: written by the poller, with the queue locked.
        let old = self
            .waker
            .with_mut(|known| unsafe { (*known).replace(waker) });
        let old = queue.retire(old);
        drop(queue);
        drop(old);
    }

    /// The request, which is taken if it is a probe. What has been asked for is taken back by the
    /// answer.
    fn request(&self) -> Request {
        let requested = self.requested.fetch_and(!PROBE, Ordering::Acquire);
        match requested & (CAPTURE | PROBE) {
            0 => Request::None,
            PROBE => Request::Probe,
            _ => Request::Capture,
        }
    }

    /// Has the poller look at the frames at its next poll.
    pub(crate) fn note_gone(&self) {
        self.requested.fetch_or(UNUSUAL, Ordering::Release);
    }

    /// Answers all that have asked.
    pub(crate) fn answer(&self, answer: T) {
        self.take_waiting().give_all(Ok(answer));
    }

    /// A poll panicked. The future may be polled again, but whoever asked has no answer.
    pub(crate) fn panicked(&self) {
        if self.standing() != Standing::Finished {
            self.standing
                .store(Standing::Panicked as u8, Ordering::Relaxed);
            self.requested.fetch_or(UNUSUAL, Ordering::Relaxed);
        }
        self.take_waiting().give_all(Err(End::Panicked));
    }

    /// The future has resolved or is gone. Returns what is to be dropped.
    ///
    /// # Safety
    ///
    /// The caller is the poller.
    pub(crate) unsafe fn finish(&self) -> Option<Waker> {
        self.standing
            .store(Standing::Finished as u8, Ordering::Relaxed);
        let mut queue = lock(&self.queue);
        queue.end = Some(End::Finished);
        self.requested.fetch_and(!CAPTURE, Ordering::Relaxed);
        let waiting = std::mem::replace(&mut queue.waiting, Waiting::nobody());
        // SAFETY: written by the poller, with the queue locked.
        let waker = self.waker.with_mut(|known| unsafe { (*known).take() });
        let waker = queue.retire(waker);
        drop(queue);
        waiting.give_all(Err(End::Finished));
        waker
    }

    /// Makes it as if it were new. Returns what is to be dropped.
    ///
    /// # Safety
    ///
    /// Nobody else uses it.
    #[inline]
    pub(crate) unsafe fn reset(&self) -> Option<Waker> {
        if self.standing.load(Ordering::Relaxed) != Standing::Good as u8 {
            lock(&self.queue).end = None;
            self.standing.store(Standing::Good as u8, Ordering::Relaxed);
        }
        self.requested.store(0, Ordering::Relaxed);
        // SAFETY: as asserted by the caller.
        self.waker.with_mut(|known| unsafe { (*known).take() })
    }

    fn take_waiting(&self) -> Waiting<T> {
        let mut queue = lock(&self.queue);
        self.requested.fetch_and(!CAPTURE, Ordering::Relaxed);
        std::mem::replace(&mut queue.waiting, Waiting::nobody())
    }

    // The askers' side.

    #[inline]
    pub(crate) fn standing(&self) -> Standing {
        match self.standing.load(Ordering::Acquire) {
            0 => Standing::Good,
            1 => Standing::Panicked,
            _ => Standing::Finished,
        }
    }

    /// Whether somebody waits for an answer.
    pub(crate) fn is_asked(&self) -> bool {
        self.requested.load(Ordering::Relaxed) & CAPTURE != 0
    }

    /// Adds a question and wakes the task.
    pub(crate) fn ask(&self) -> Result<Answer<T>, End> {
        self.ask_in(&mut Answers::new(1))
    }

    /// The same, as one of many.
    pub(crate) fn ask_in(&self, answers: &mut Answers<T>) -> Result<Answer<T>, End> {
        let (giver, answer) = answers.promise();
        let mut queue = lock(&self.queue);
        if let Some(end) = queue.end {
            return Err(end);
        }
        queue.waiting.push(giver);
        self.request_and_wake(CAPTURE, queue);
        Ok(answer)
    }

    /// Wakes the task to see whether it is polled. Does nothing if it has ended, or if its first poll
    /// has not: then there is nothing to wake it with.
    pub(crate) fn probe(&self) {
        let queue = lock(&self.queue);
        // SAFETY: read with the queue locked.
        let can_be_woken = self.waker.with(|waker| unsafe { &*waker }.is_some());
        if queue.end.is_none() && can_be_woken {
            self.request_and_wake(PROBE, queue);
        }
    }

    fn request_and_wake(&self, what: u8, mut queue: MutexGuard<'_, Queue<T>>) {
        self.requested.fetch_or(what, Ordering::Release);
        let borrow = |waker: &Waker| Loan {
            // SAFETY: a copy of a waker that is not dropped while it is on loan, and this one is not
            // dropped at all.
            waker: ManuallyDrop::new(unsafe {
                Waker::from_raw(RawWaker::new(waker.data(), waker.vtable()))
            }),
            queue: &self.queue,
        };
        // SAFETY: read with the queue locked.
        let known = self
            .waker
            .with(|waker| unsafe { &*waker }.as_ref().map(borrow));
        queue.borrowers += usize::from(known.is_some());
        drop(queue);
        if let Some(known) = known {
            // Should that panic, then it is not who asks that did, and the hook has reported it. The
            // question stands all the same.
            let _ = catch_unwind(AssertUnwindSafe(move || {
                let known = known;
                known.waker.wake_by_ref();
            }));
        }
    }

    /// Takes a question back, if it has not been answered.
    pub(crate) fn withdraw(&self, answer: &Answer<T>) {
        let mut queue = lock(&self.queue);
        let withdrawn = queue.waiting.remove(answer);
        if queue.waiting.is_empty() {
            self.requested.fetch_and(!CAPTURE, Ordering::Relaxed);
        }
        drop(queue);
        drop(withdrawn);
    }
}

/// A waker on loan, which an asker gives back also when it panics.
struct Loan<'a, T> {
    waker: ManuallyDrop<Waker>,
    queue: &'a Mutex<Queue<T>>,
}

impl<T> Drop for Loan<'_, T> {
    fn drop(&mut self) {
        let mut queue = lock(self.queue);
        queue.borrowers -= 1;
        let replaced = match queue.borrowers {
            0 => std::mem::take(&mut queue.replaced),
            _ => Vec::new(),
        };
        drop(queue);
        drop(replaced);
    }
}

#[cfg(all(test, tasktrace_loom))]
mod model;
