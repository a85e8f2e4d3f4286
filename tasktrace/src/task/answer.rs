//! A place for an answer, and who waits for it.
//!
//! Answers are [`promise`]d one by one, or many at once as [`Answers`]: who asks many tasks makes one
//! allocation for many of them, and is woken for the one that it waits for, not for each.
//!
//! For each answer there is a [`Giver`], which gives it once or never, and an [`Answer`], through which
//! it is waited for and taken. Between the two there is a place with a state, which only goes forward:
//!
//! | from | to | by |
//! |---|---|---|
//! | `AWAITED` | `WATCHED` | the asker, with `asker` locked, before it waits |
//! | `AWAITED`, `WATCHED` | `GIVEN` | the giver, after it has written the answer |
//! | `GIVEN` | `TAKEN` | the asker, before it reads the answer |
//!
//! # No answer is missed
//!
//! An asker that finds none locks, leaves its waker if it has one, and makes the state `WATCHED`. If that
//! fails, there is an answer. If not, the giver finds `WATCHED`, and tells it: it locks for that, so it
//! comes after the waker was left, or after the thread has begun to wait, which unlocks.
//!
//! # What the giver pays
//!
//! While nobody waits for this answer: a swap. To tell a thread costs a system call, and most of the
//! answers to a dump come while it waits for another.

use std::task::{Poll, Waker};
use std::time::Instant;

use crate::sync::{Arc, AtomicU8, Condvar, Mutex, Ordering, UnsafeCell, lock};

/// Why there is no answer, and never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The future has resolved, or was dropped.
    Finished,
    /// A poll of the future panicked while it was being asked.
    Panicked,
    /// Its executor demands that wakers be its own.
    OwnWakers,
    /// The stack that it is polled on is too small for a capture.
    NoRoom,
}

const AWAITED: u8 = 0;
/// Somebody is to be told.
const WATCHED: u8 = 1;
const GIVEN: u8 = 2;
const TAKEN: u8 = 3;

struct Place<T> {
    state: AtomicU8,
    answer: UnsafeCell<Option<Result<T, End>>>,
}

struct Places<T> {
    places: Box<[Place<T>]>,
    /// Who is to be told. There is one asker, and it waits for one of them at a time.
    asker: Mutex<Option<Waker>>,
    answered: Condvar,
}

// SAFETY: an answer is written by its giver, of which there is one, before the state is `GIVEN`, and
// read by who has made that `TAKEN`, of whom there is one as well.
unsafe impl<T: Send> Sync for Places<T> {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl<T: Send> Send for Places<T> {}

impl<T> Places<T> {
    fn new(length: usize) -> Arc<Self> {
        let place = |_| Place {
            state: AtomicU8::new(AWAITED),
            answer: UnsafeCell::new(None),
        };
        Arc::new(Self {
            places: (0..length).map(place).collect(),
            asker: Mutex::new(None),
            answered: Condvar::new(),
        })
    }

    /// The caller gives each place away once.
    fn ends(places: &Arc<Self>, place: usize) -> (Giver<T>, Answer<T>) {
        let giver = Giver {
            places: Arc::clone(places),
            place,
        };
        let answer = Answer {
            places: Arc::clone(places),
            place,
        };
        (giver, answer)
    }
}

/// One answer: who gives it, and who waits for it.
pub(crate) fn promise<T>() -> (Giver<T>, Answer<T>) {
    Places::ends(&Places::new(1), 0)
}

/// So many answers share an allocation, which is there for as long as one of them is.
const TOGETHER: usize = 64;

/// Many answers, for one asker.
pub(crate) struct Answers<T> {
    /// How many more there will be.
    left: usize,
    places: Arc<Places<T>>,
    /// How many of the places have a giver.
    promised: usize,
}

impl<T> Answers<T> {
    /// So many, or more.
    pub(crate) fn new(count: usize) -> Self {
        let length = count.clamp(1, TOGETHER);
        Self {
            left: count.saturating_sub(length),
            places: Places::new(length),
            promised: 0,
        }
    }

    /// One of them.
    pub(crate) fn promise(&mut self) -> (Giver<T>, Answer<T>) {
        if self.promised == self.places.places.len() {
            *self = Self::new(self.left);
        }
        self.promised += 1;
        Places::ends(&self.places, self.promised - 1)
    }
}

/// Gives an answer.
pub(crate) struct Giver<T> {
    places: Arc<Places<T>>,
    place: usize,
}

impl<T> Giver<T> {
    pub(crate) fn give(self, answer: Result<T, End>) {
        let Self { places, place } = &self;
        let place = &places.places[*place];
        place.answer.with_mut(|known| {
            // SAFETY: there is no other giver of this answer, it is not given twice, and nobody reads it
            // before the state is changed below.
            unsafe { *known = Some(answer) };
        });
        // Release: whoever takes it sees it. Acquire: who is to be told has said so before.
        if place.state.swap(GIVEN, Ordering::AcqRel) == WATCHED {
            let waker = lock(&places.asker).take();
            places.answered.notify_all();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Whether it is that of this answer.
    pub(super) fn is_of(&self, answer: &Answer<T>) -> bool {
        Arc::ptr_eq(&self.places, &answer.places) && self.place == answer.place
    }
}

/// Waits for an answer.
pub(crate) struct Answer<T> {
    places: Arc<Places<T>>,
    place: usize,
}

impl<T> Answer<T> {
    fn place(&self) -> &Place<T> {
        &self.places.places[self.place]
    }

    /// Whether it has been given.
    pub(crate) fn is_given(&self) -> bool {
        self.place().state.load(Ordering::Acquire) >= GIVEN
    }

    /// The answer, if it has been given. That can be taken once.
    pub(crate) fn take(&self) -> Option<Result<T, End>> {
        let Place { state, answer } = self.place();
        // Acquire: what was given is seen.
        let taken = state.compare_exchange(GIVEN, TAKEN, Ordering::Acquire, Ordering::Relaxed);
        // SAFETY: nobody else takes what is taken, and the giver has written it before.
        taken
            .ok()
            .and_then(|_| answer.with_mut(|answer| unsafe { &mut *answer }.take()))
    }

    /// Says that somebody is to be told, if there is no answer yet. Whether that is so.
    ///
    /// `asker` is locked by the caller.
    fn watch(&self) -> bool {
        let watched = self.place().state.compare_exchange(
            AWAITED,
            WATCHED,
            // Release: who tells finds what the caller has left.
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        matches!(watched, Ok(_) | Err(WATCHED))
    }

    /// The answer, or a promise to wake `waker` when there is one.
    ///
    /// The caller passes a clone, so that it is a leaf of the task that polls it.
    pub(crate) fn poll(&self, waker: Waker) -> Poll<Result<T, End>> {
        let mut asker = lock(&self.places.asker);
        let old = asker.replace(waker);
        let is_awaited = self.watch();
        let left = if is_awaited { None } else { asker.take() };
        drop(asker);
        drop((old, left));
        match self.take() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        }
    }

    /// Blocks until there is an answer, or until `deadline`. Whether there is one.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        if self.is_given() {
            return true;
        }
        let mut asker = lock(&self.places.asker);
        loop {
            let unpoison = std::sync::PoisonError::into_inner;
            let left = deadline.map(|it| it.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return self.is_given();
            }
            if !self.watch() {
                return true;
            }
            let answered = &self.places.answered;
            asker = match left {
                None => answered.wait(asker).unwrap_or_else(unpoison),
                Some(left) => {
                    let waited = answered.wait_timeout(asker, left);
                    waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
                }
            };
        }
    }
}

#[cfg(all(test, tasktrace_loom))]
mod model;

#[cfg(all(test, not(tasktrace_loom)))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_that_does_not_come() {
        let (giver, answer) = promise::<u32>();
        assert!(!answer.wait(Some(Instant::now() + Duration::from_millis(1))));
        assert!(answer.poll(Waker::noop().clone()).is_pending());
        drop(giver);
        assert!(!answer.is_given());
        assert_eq!(answer.take(), None);
    }

    #[test]
    fn many_answers_have_each_a_place() {
        for count in [0, 1, TOGETHER - 1, TOGETHER, 3 * TOGETHER + 1] {
            let mut answers = Answers::new(count);
            // One more than there were to be.
            let promised: Vec<_> = (0..=count).map(|_| answers.promise()).collect();
            let (givers, answers): (Vec<_>, Vec<_>) = promised.into_iter().unzip();
            for (at, giver) in givers.into_iter().enumerate().rev() {
                assert!(giver.is_of(&answers[at]));
                assert!(!giver.is_of(&answers[(at + 1) % answers.len()]) || count == 0);
                giver.give(Ok(at));
            }
            for (at, answer) in answers.iter().enumerate() {
                assert!(answer.is_given());
                assert_eq!(answer.take(), Some(Ok(at)));
            }
        }
    }
}
