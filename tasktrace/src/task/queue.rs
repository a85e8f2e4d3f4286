//! Queues the pending requests of a task, and keeps replaced wakers until their last borrower is done.

use std::task::Waker;

use super::foreign;
use super::oneshot::{CaptureError, Receiver, Sender};
use crate::sync::catch_panic;

/// The pending requests of a task, and the borrows of its waker. A task has a queue from its first request on.
pub(super) struct RequestQueue<T> {
    pub(super) requesters: Requesters<T>,
    /// The number of threads that have borrowed a waker and not returned it.
    pub(super) borrowers: usize,
    /// `true` if a borrower may have the current waker of the task.
    pub(super) is_borrowed: bool,
    /// Earlier wakers of the task that a borrower may have. The last borrower drops them.
    pub(super) replaced: Option<Box<ReplacedWaker>>,
}

impl<T> RequestQueue<T> {
    pub(super) fn new() -> Self {
        Self {
            requesters: Requesters::none(),
            borrowers: 0,
            is_borrowed: false,
            replaced: None,
        }
    }

    /// Retires a waker that is no longer the task's: returns it if it can be dropped now. Otherwise puts it into
    /// `node`, and keeps that until the last borrow ends.
    pub(super) fn retire(
        &mut self,
        waker: Waker,
        node: &mut Option<Box<ReplacedWaker>>,
    ) -> Option<Waker> {
        // `is_borrowed` is about the current waker only. So a borrower that never returns keeps one waker alive, and
        // not also all later ones.
        if !std::mem::replace(&mut self.is_borrowed, false) {
            return Some(waker);
        }
        let Some(mut node) = node.take() else {
            // Leaking the waker is safe. Dropping it while it is borrowed is not.
            std::mem::forget(waker);
            return None;
        };
        node.waker = Some(waker);
        node.next = self.replaced.take();
        self.replaced = Some(node);
        None
    }
}

/// A node of the list of replaced wakers. It is allocated before the queue is locked.
pub(super) struct ReplacedWaker {
    waker: Option<Waker>,
    next: Option<Box<ReplacedWaker>>,
}

impl ReplacedWaker {
    /// Allocates a node without a waker.
    pub(super) fn empty() -> Option<Box<Self>> {
        Some(Box::new(Self {
            waker: None,
            next: None,
        }))
    }
}

impl Drop for ReplacedWaker {
    /// Drops the list node by node, without recursion, because it may be long.
    fn drop(&mut self) {
        foreign::drop(self.waker.take());
        let mut next = self.next.take();
        while let Some(mut replaced) = next {
            next = replaced.next.take();
        }
    }
}

/// The requesters that wait for an answer.
///
/// There is rarely more than one, so the first needs no allocation. A node for another is allocated before the queue is
/// locked.
pub(super) struct Requesters<T> {
    pub(super) first: Option<Sender<T>>,
    pub(super) others: Option<Box<RequesterNode<T>>>,
}

/// A requester that was removed from the queue, and its node, to be dropped after the queue is unlocked.
pub(super) type Removed<T> = (Option<Sender<T>>, Option<Box<RequesterNode<T>>>);

impl<T> Requesters<T> {
    pub(super) fn none() -> Self {
        Self {
            first: None,
            others: None,
        }
    }

    /// Adds a requester. Returns `false`, and adds nothing, if this needs a node and there is none.
    pub(super) fn push(
        &mut self,
        sender: &mut Option<Sender<T>>,
        node: &mut Option<Box<RequesterNode<T>>>,
    ) -> bool {
        if self.first.is_none() {
            self.first = sender.take();
            return true;
        }
        let Some(mut node) = node.take() else {
            return false;
        };
        node.sender = sender.take();
        node.next = self.others.take();
        self.others = Some(node);
        true
    }

    /// Removes the requester that waits on this receiver, if it is there.
    pub(super) fn remove(&mut self, receiver: &Receiver<T>) -> Removed<T> {
        let is_connected = |sender: &Sender<T>| sender.is_connected_to(receiver);
        if self.first.as_ref().is_some_and(is_connected) {
            let mut node = self.others.take();
            self.others = node.as_mut().and_then(|node| node.next.take());
            let next = node.as_mut().and_then(|node| node.sender.take());
            return (std::mem::replace(&mut self.first, next), node);
        }
        let mut at = &mut self.others;
        while at
            .as_ref()
            .is_some_and(|other| !other.sender.as_ref().is_some_and(is_connected))
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

impl<T: Clone> Requesters<T> {
    /// Sends this answer to all requesters.
    pub(super) fn send_all(self, answer: Result<T, CaptureError>) {
        let mut others = self.others;
        while let Some(mut other) = others {
            others = other.next.take();
            if let Some(sender) = other.sender.take() {
                send(sender, answer.clone());
            }
        }
        if let Some(first) = self.first {
            send(first, answer);
        }
    }
}

/// A node of the list of requesters after the first.
pub(super) struct RequesterNode<T> {
    pub(super) sender: Option<Sender<T>>,
    pub(super) next: Option<Box<RequesterNode<T>>>,
}

impl<T> RequesterNode<T> {
    /// Allocates a node without a requester.
    pub(super) fn empty() -> Option<Box<Self>> {
        Some(Box::new(Self {
            sender: None,
            next: None,
        }))
    }
}

impl<T> Drop for RequesterNode<T> {
    /// Drops the list node by node, without recursion, because it may be long.
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut other) = next {
            next = other.next.take();
        }
    }
}

/// Sends an answer to one requester.
fn send<T>(sender: Sender<T>, answer: Result<T, CaptureError>) {
    // This wakes the requester, and its waker may panic. Neither the task nor the other requesters may see that panic,
    // which the panic hook has reported.
    let _ = catch_panic(|| sender.send(answer));
}
