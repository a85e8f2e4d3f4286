//! Those who have asked for a trace of a task, and the wakers that are on loan.

use std::task::Waker;

use super::answer::{Answer, End, Giver};
use super::foreign;
use crate::sync::caught;

/// Those who have asked. There is one from the first question on.
pub(super) struct Queue<T> {
    pub(super) waiting: Waiting<T>,
    /// How many have a waker on loan.
    pub(super) borrowers: usize,
    /// One of them may have the one that is the task's now.
    pub(super) is_lent: bool,
    /// Wakers that somebody may have on loan, and that the last borrower is to drop.
    pub(super) replaced: Option<Box<Replaced>>,
}

/// A waker that is not the task's any more. The place for it is made before the queue is locked.
pub(super) struct Replaced {
    waker: Option<Waker>,
    next: Option<Box<Replaced>>,
}

impl Replaced {
    pub(super) fn place() -> Option<Box<Self>> {
        Some(Box::new(Self {
            waker: None,
            next: None,
        }))
    }
}

impl Drop for Replaced {
    /// Drops one after the other, not one in the other: there may be many.
    fn drop(&mut self) {
        foreign::drop(self.waker.take());
        let mut next = self.next.take();
        while let Some(mut replaced) = next {
            next = replaced.next.take();
        }
    }
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            waiting: Waiting::nobody(),
            borrowers: 0,
            is_lent: false,
            replaced: None,
        }
    }

    /// Returns what is to be dropped now, of a waker that is not the task's any more. The place for it is taken if
    /// that is to be kept.
    pub(super) fn retire(
        &mut self,
        waker: Waker,
        place: &mut Option<Box<Replaced>>,
    ) -> Option<Waker> {
        // A borrower that does not come back keeps one waker, however many there are after that.
        if !std::mem::replace(&mut self.is_lent, false) {
            return Some(waker);
        }
        let Some(mut place) = place.take() else {
            // It is leaked, rather than dropped while it is on loan.
            std::mem::forget(waker);
            return None;
        };
        place.waker = Some(waker);
        place.next = self.replaced.take();
        self.replaced = Some(place);
        None
    }
}

/// The requesters that wait for an answer. Most of the time there is at most one: a place for another is made before the queue is
/// locked.
pub(super) struct Waiting<T> {
    pub(super) first: Option<Giver<T>>,
    pub(super) others: Option<Box<Other<T>>>,
}

/// A requester that waits, and the list of the others.
pub(super) struct Other<T> {
    pub(super) giver: Option<Giver<T>>,
    pub(super) next: Option<Box<Other<T>>>,
}

impl<T> Other<T> {
    /// A place for one, made before the queue is locked.
    pub(super) fn place() -> Option<Box<Self>> {
        Some(Box::new(Self {
            giver: None,
            next: None,
        }))
    }
}

impl<T> Drop for Other<T> {
    /// Drops one after the other, not one in the other: there may be many.
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut other) = next {
            next = other.next.take();
        }
    }
}

/// A requester that was taken off the queue, and its place, to be dropped when the queue is unlocked.
pub(super) type Removed<T> = (Option<Giver<T>>, Option<Box<Other<T>>>);

impl<T> Waiting<T> {
    pub(super) fn nobody() -> Self {
        Self {
            first: None,
            others: None,
        }
    }

    /// Adds one, if there is a place. Returns `true` if there was.
    pub(super) fn push(
        &mut self,
        giver: &mut Option<Giver<T>>,
        place: &mut Option<Box<Other<T>>>,
    ) -> bool {
        if self.first.is_none() {
            self.first = giver.take();
            return true;
        }
        let Some(mut place) = place.take() else {
            return false;
        };
        place.giver = giver.take();
        place.next = self.others.take();
        self.others = Some(place);
        true
    }

    pub(super) fn remove(&mut self, answer: &Answer<T>) -> Removed<T> {
        let is_it = |giver: &Giver<T>| giver.is_of(answer);
        if self.first.as_ref().is_some_and(is_it) {
            let mut place = self.others.take();
            self.others = place.as_mut().and_then(|place| place.next.take());
            let next = place.as_mut().and_then(|place| place.giver.take());
            return (std::mem::replace(&mut self.first, next), place);
        }
        let mut at = &mut self.others;
        while at
            .as_ref()
            .is_some_and(|other| !other.giver.as_ref().is_some_and(is_it))
        {
            match at {
                Some(other) => at = &mut other.next,
                None => break,
            }
        }
        let mut removed = at.take();
        *at = removed.as_mut().and_then(|other| other.next.take());
        (None, removed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

impl<T: Clone> Waiting<T> {
    pub(super) fn give_all(self, answer: Result<T, End>) {
        let mut others = self.others;
        while let Some(mut other) = others {
            others = other.next.take();
            if let Some(giver) = other.giver.take() {
                give(giver, answer.clone());
            }
        }
        if let Some(first) = self.first {
            give(first, answer);
        }
    }
}

fn give<T>(giver: Giver<T>, answer: Result<T, End>) {
    // It wakes the asker. Should that panic, then it is neither the task that did, nor the
    // other askers, and the hook has reported it.
    let _ = caught(|| giver.give(answer));
}
