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
//! | `requested` | askers, with the queue locked; poller, bit by bit | poller, without |
//! | `phase` | poller | anyone, who then sees what the poller has noted in the record before |
//! | `waker` | poller, with the queue locked | poller, without; askers, with the queue locked |
//! | `queue` | with its lock | with its lock |
//!
//! # No request is lost
//!
//! An asker locks the queue, adds itself, sets `requested`, takes a reference to the waker,
//! unlocks, and wakes. A poller that is handed a new waker stores it with the queue locked and
//! then reads `requested`. So either the poller's lock came first, and the asker wakes the waker
//! of this poll, which obliges the executor to poll again; or the asker's came first, and this
//! poll sees `requested`. A poller that is handed the waker it has already stored need not lock:
//! if it does not see `requested`, the asker is still going to wake that same waker.
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
//! The waker is kept in an `Arc`, so an asker can take a reference to it without calling its
//! `clone`. Wakers, answers and replaced wakers are woken, delivered and dropped after unlocking.
//! (The last reference may be the asker's: then it is the asker that drops the waker.)
//!
//! # What the poller pays
//!
//! While nobody asks: a comparison of two wakers, two stores and one load, none of them locked.

use std::panic::{AssertUnwindSafe, RefUnwindSafe, catch_unwind};
use std::task::{Poll, Waker};
use std::time::Instant;

use crate::sync::{Arc, AtomicU8, Condvar, Mutex, MutexGuard, Ordering, UnsafeCell, lock};

/// Why there is no answer, and never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The future has resolved, or was dropped.
    Finished,
    /// A poll of the future panicked while it was being asked.
    Panicked,
}

/// What the poller is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    NeverPolled,
    Polling,
    Suspended,
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

/// The layout is as written: see [`Record`](super::record::Record).
#[repr(C)]
pub(crate) struct Exchange<T> {
    requested: AtomicU8,
    phase: AtomicU8,
    waker: UnsafeCell<Option<Arc<Waker>>>,
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
}

/// Those who wait for an answer. It is one at most, most of the time.
struct Waiting<T> {
    first: Option<Arc<Waiter<T>>>,
    others: Vec<Arc<Waiter<T>>>,
}

impl<T> Waiting<T> {
    const NOBODY: Self = Self {
        first: None,
        others: Vec::new(),
    };

    fn push(&mut self, waiter: Arc<Waiter<T>>) {
        match &mut self.first {
            first @ None => *first = Some(waiter),
            Some(_) => self.others.push(waiter),
        }
    }

    fn remove(&mut self, waiter: &Arc<Waiter<T>>) -> Option<Arc<Waiter<T>>> {
        let is_it = |other: &Arc<Waiter<T>>| Arc::ptr_eq(other, waiter);
        if self.first.as_ref().is_some_and(is_it) {
            return std::mem::replace(&mut self.first, self.others.pop());
        }
        let place = self.others.iter().position(is_it);
        place.map(|place| self.others.swap_remove(place))
    }

    fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

/// One question and the place for its answer.
pub(crate) struct Waiter<T> {
    answer: Mutex<Answer<T>>,
    answered: Condvar,
}

enum Answer<T> {
    Awaited {
        waker: Option<Waker>,
        /// Whether a thread is blocked until there is an answer. To tell one costs a system call, so it
        /// is not done for nobody: most of the answers to a dump come while it waits for another.
        is_blocking: bool,
    },
    Given(Result<T, End>),
}

impl<T: Clone> Exchange<T> {
    pub(crate) fn new() -> Self {
        Self {
            requested: AtomicU8::new(0),
            phase: AtomicU8::new(Phase::NeverPolled as u8),
            waker: UnsafeCell::new(None),
            queue: Mutex::new(Queue {
                end: None,
                waiting: Waiting::NOBODY,
            }),
        }
    }

    // The poller's side.

    /// # Safety
    ///
    /// The caller is the poller.
    #[inline]
    pub(crate) unsafe fn begin_poll(&self, waker: &Waker) -> Request {
        // Release: whoever sees it sees which poll it is, and when it began.
        self.phase.store(Phase::Polling as u8, Ordering::Release);
        // SAFETY: the caller is the poller.
        unsafe { self.register(waker) };
        self.request()
    }

    /// # Safety
    ///
    /// The caller is the poller.
    #[inline]
    unsafe fn register(&self, waker: &Waker) {
        let known = self.waker.with(|known| {
            // SAFETY: only the poller writes, and that is who is reading.
            unsafe { &*known }
                .as_ref()
                .is_some_and(|known| known.will_wake(waker))
        });
        if !known {
            // SAFETY: the caller is the poller.
            unsafe { self.set_waker(waker) };
        }
    }

    /// # Safety
    ///
    /// The caller is the poller.
    #[cold]
    unsafe fn set_waker(&self, waker: &Waker) {
        let mut waker = waker.clone();
        let queue = lock(&self.queue);
        let replaced = self.waker.with_mut(|known| {
            // SAFETY: written by the poller, with the queue locked.
            let known = unsafe { &mut *known }.as_mut().and_then(Arc::get_mut);
            known.map(|known| std::mem::swap(known, &mut waker))
        });
        drop(queue);
        // There are executors whose wakers never compare equal, although they wake the same task.
        // So there need be no allocation, unless an asker is using the one of before.
        if replaced.is_none() {
            // SAFETY: the caller is the poller.
            unsafe { self.replace_waker(Some(Arc::new(waker))) };
        }
    }

    /// # Safety
    ///
    /// The caller is the poller.
    unsafe fn replace_waker(&self, waker: Option<Arc<Waker>>) {
        let queue = lock(&self.queue);
        // SAFETY: written by the poller, with the queue locked.
        let old = self
            .waker
            .with_mut(|known| std::mem::replace(unsafe { &mut *known }, waker));
        drop(queue);
        drop(old);
    }

    #[inline]
    fn request(&self) -> Request {
        // Acquire, although the lock or the wake has ordered it already where it matters: it is
        // free on x86 and makes a request visible no later than it could be.
        match self.requested.load(Ordering::Acquire) {
            0 => Request::None,
            requested => self.take_probe(requested),
        }
    }

    #[cold]
    fn take_probe(&self, requested: u8) -> Request {
        if requested & PROBE != 0 {
            self.requested.fetch_and(!PROBE, Ordering::Relaxed);
        }
        // What has been asked for is taken back by the answer.
        match requested & CAPTURE {
            0 => Request::Probe,
            _ => Request::Capture,
        }
    }

    /// The poll returned `Pending`.
    #[inline]
    pub(crate) fn end_poll(&self) {
        // Release: whoever sees it sees what the poll has left.
        self.phase.store(Phase::Suspended as u8, Ordering::Release);
    }

    /// Answers all that have asked.
    pub(crate) fn answer(&self, answer: T) {
        let waiting = self.take_waiting(None);
        Waiter::give_all(waiting, &Ok(answer));
    }

    /// A poll panicked. The future may be polled again, but whoever asked has no answer.
    pub(crate) fn panicked(&self) {
        let waiting = self.take_waiting(None);
        if self.phase() != Phase::Finished {
            self.end_poll();
        }
        Waiter::give_all(waiting, &Err(End::Panicked));
    }

    /// The future has resolved or is gone.
    ///
    /// # Safety
    ///
    /// The caller is the poller.
    pub(crate) unsafe fn finish(&self) {
        self.phase.store(Phase::Finished as u8, Ordering::Relaxed);
        let waiting = self.take_waiting(Some(End::Finished));
        Waiter::give_all(waiting, &Err(End::Finished));
        // Last, because the destructor of a waker is somebody else's code, and may panic.
        // SAFETY: the caller is the poller.
        unsafe { self.replace_waker(None) };
    }

    /// Makes it as if it were new.
    ///
    /// # Safety
    ///
    /// Nobody else uses it, and the task is finished.
    pub(crate) unsafe fn reset(&self) {
        lock(&self.queue).end = None;
        self.requested.store(0, Ordering::Relaxed);
        self.phase
            .store(Phase::NeverPolled as u8, Ordering::Relaxed);
    }

    fn take_waiting(&self, end: Option<End>) -> Waiting<T> {
        let mut queue = lock(&self.queue);
        queue.end = queue.end.or(end);
        self.requested.fetch_and(!CAPTURE, Ordering::Relaxed);
        std::mem::replace(&mut queue.waiting, Waiting::NOBODY)
    }

    // The askers' side.

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::NeverPolled,
            1 => Phase::Polling,
            2 => Phase::Suspended,
            _ => Phase::Finished,
        }
    }

    /// Whether somebody waits for an answer.
    pub(crate) fn is_asked(&self) -> bool {
        self.requested.load(Ordering::Relaxed) & CAPTURE != 0
    }

    /// Adds a question and wakes the task.
    pub(crate) fn ask(&self) -> Result<Arc<Waiter<T>>, End> {
        let waiter = Arc::new(Waiter::new());
        let mut queue = lock(&self.queue);
        if let Some(end) = queue.end {
            return Err(end);
        }
        queue.waiting.push(Arc::clone(&waiter));
        self.request_and_wake(CAPTURE, queue);
        Ok(waiter)
    }

    /// Wakes the task to see whether it is polled. Does nothing if it has ended, or has not been
    /// polled yet, when there is nothing to wake it with.
    pub(crate) fn probe(&self) {
        let queue = lock(&self.queue);
        if queue.end.is_none() && self.phase() != Phase::NeverPolled {
            self.request_and_wake(PROBE, queue);
        }
    }

    fn request_and_wake(&self, what: u8, queue: MutexGuard<'_, Queue<T>>) {
        self.requested.fetch_or(what, Ordering::Release);
        // SAFETY: read with the queue locked.
        let waker = self.waker.with(|waker| unsafe { &*waker }.clone());
        drop(queue);
        if let Some(waker) = waker {
            waker.wake_by_ref();
        }
    }

    /// Takes a question back, if it has not been answered.
    pub(crate) fn withdraw(&self, waiter: &Arc<Waiter<T>>) {
        let mut queue = lock(&self.queue);
        let withdrawn = queue.waiting.remove(waiter);
        if queue.waiting.is_empty() {
            self.requested.fetch_and(!CAPTURE, Ordering::Relaxed);
        }
        drop(queue);
        drop(withdrawn);
    }
}

impl<T: Clone> Waiter<T> {
    pub(crate) fn new() -> Self {
        Self {
            answer: Mutex::new(Answer::Awaited {
                waker: None,
                is_blocking: false,
            }),
            answered: Condvar::new(),
        }
    }

    fn give_all(waiting: Waiting<T>, answer: &Result<T, End>) {
        for waiter in waiting.first.into_iter().chain(waiting.others) {
            // It wakes the asker. Should that panic, then it is neither the task that did, nor the
            // other askers, and the hook has reported it.
            let _ = catch_unwind(AssertUnwindSafe(|| waiter.give(answer.clone())));
        }
    }

    pub(crate) fn give(&self, answer: Result<T, End>) {
        let mut place = lock(&self.answer);
        let before = std::mem::replace(&mut *place, Answer::Given(answer));
        drop(place);
        if let Answer::Awaited { waker, is_blocking } = before {
            if is_blocking {
                self.answered.notify_all();
            }
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Whether there is an answer.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(&*lock(&self.answer), Answer::Given(_))
    }

    /// The answer, or a promise to wake `waker` when there is one.
    ///
    /// The caller passes a clone, so that it is a leaf of the task that polls it.
    pub(crate) fn poll(&self, waker: Waker) -> Poll<Result<T, End>> {
        let mut place = lock(&self.answer);
        match &mut *place {
            Answer::Given(answer) => Poll::Ready(answer.clone()),
            Answer::Awaited { waker: known, .. } => {
                let old = known.replace(waker);
                drop(place);
                drop(old);
                Poll::Pending
            }
        }
    }

    /// Blocks until there is an answer, or until `deadline`.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Option<Result<T, End>> {
        let mut place = lock(&self.answer);
        loop {
            let is_blocking = match &mut *place {
                Answer::Given(answer) => return Some(answer.clone()),
                Answer::Awaited { is_blocking, .. } => is_blocking,
            };
            let unpoison = std::sync::PoisonError::into_inner;
            place = match deadline {
                None => {
                    *is_blocking = true;
                    self.answered.wait(place).unwrap_or_else(unpoison)
                }
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    *is_blocking = true;
                    let wait = self.answered.wait_timeout(place, left);
                    wait.unwrap_or_else(std::sync::PoisonError::into_inner).0
                }
            };
        }
    }
}

#[cfg(all(test, tasktrace_loom))]
mod model;
