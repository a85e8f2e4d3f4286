//! Delivers requests to a task, and its answers to the requesters.
//!
//! Three roles access a task header here:
//!
//! * the **poller**: the thread that polls or drops the task. There is one at a time, because both need a mutable
//!   reference to the future, and each poll happens after the one before it;
//! * **requesters**: threads that request a capture, any number of them at any time;
//! * **borrowers**: threads that borrow the waker of the task to wake it, for a pending capture or as a *probe*, which
//!   tests whether the executor polls the task.
//!
//! | data | written by | read by |
//! |---|---|---|
//! | the [state](super::poll_state) | all roles, each its own bits | any thread |
//! | the waker | the poller | the poller; borrowers, after they have set `BORROWED` |
//! | the [queue](RequestQueue) | any thread, with its lock | any thread, with its lock |
//!
//! Most tasks never get a request, so the queue is in the side table, which the first request makes.
//!
//! # No request is lost
//!
//! A requester locks the queue, adds its request, and sets `CAPTURE`. Then the requester, or a thread that wakes tasks
//! for it (see [`wake_pool`](super::wake_pool)), locks the queue again, borrows the waker if there is one (`WAKER`),
//! unlocks the queue, and wakes the task. A poller that stores a new waker sets `WAKER` after that, and then looks for
//! `CAPTURE`. Both flags are in one word, so one of them is set first:
//!
//! * `CAPTURE` first: the poller, which looks after it has set `WAKER`, sees it, and this poll answers the request.
//! * `WAKER` first: the requester finds the waker of this poll and wakes it, which obliges the executor to poll again.
//!
//! If a thread that is about to wake the task finds `CAPTURE` clear, the request has been answered. A poll that is
//! passed the waker that is already stored does not touch `WAKER`. If it does not see `CAPTURE`, the requester has not
//! woken the task yet, and will wake this same waker.
//!
//! The first waker is stored at the end of the first poll, because most tasks that resolve in their first poll never
//! get a request. If there is a request by then, the poller wakes the task itself.
//!
//! # The owner of the waker
//!
//! The poller owns the waker. A thread that wakes the task *borrows* it, so that it need not call `clone`, which is
//! foreign code. It sets `BORROWED` in the same step in which it finds `WAKER` set, while it holds the lock of the
//! queue, and the last borrower clears `BORROWED`, with the lock too.
//!
//! A poller that replaces the waker first clears `WAKER`. From then on no thread can begin to borrow, until the poller
//! sets `WAKER` again. If `BORROWED` was clear in that step, no thread uses the waker, and the poller owns it alone. If
//! `BORROWED` was set, the poller locks the queue, which a borrower holds while it copies the waker out of the cell,
//! and leaves the old waker in the queue as long as there is a borrower. The last borrower drops it.
//!
//! # Probes
//!
//! A probe is a wake like any other. The thread that probes compares the number of polls before and after, and so sees
//! whether the executor polled the task.
//!
//! A poll that only a wake of tasktrace has caused counts neither as a poll of the task's own nor as progress (see
//! [`poll`](super::poll)). So a thread sets `PROBE` directly before it wakes the task, for a probe and for a request
//! alike, and the next poll that starts clears the flag. The flag may outlive the request: a running poll may answer
//! the request while the thread wakes the task, which causes one more poll, or the requester may withdraw the request
//! before the executor polls. If some other wake causes a poll between the flag and the wake, that poll clears the flag
//! too early, and the next poll, which tasktrace has caused, is counted.
//!
//! # No foreign code runs under the lock
//!
//! Wakers are woken and dropped, and answers are delivered, after the queue is unlocked. The requester has allocated
//! the memory for its answer before: see [`oneshot`](super::oneshot).
//!
//! # Cost for the poller
//!
//! Without requests: a comparison of two wakers and a comparison of two words.

mod respond;

use std::mem::ManuallyDrop;
use std::task::Waker;

use super::foreign;
use super::header::Header;
use super::oneshot::{CaptureError, ChannelBatch, Receiver};
use super::poll_state::{BORROWED, CAPTURE, FINISHED, PROBE, WAKER};
use super::queue::{RequestQueue, RequesterNode};
use crate::capture::RawTrace;
use crate::sync::{MutexGuard, lock};

pub(crate) use respond::PollPurpose;

/// The requesters' side.
impl Header {
    fn lock_queue(&self) -> MutexGuard<'_, RequestQueue<RawTrace>> {
        lock(&self.side_table.get_or_insert().queue)
    }

    /// Returns `true` if a requester waits for a capture. This may be called without a reference.
    pub(crate) fn is_capture_pending(&self) -> bool {
        self.poll_state.has(CAPTURE)
    }

    /// Requests a capture. The caller must [wake](Self::borrow_waker_for_capture) the task afterwards, or have it
    /// woken.
    pub(crate) fn request_capture(&self) -> Result<Receiver<RawTrace>, CaptureError> {
        self.request_capture_in(&mut ChannelBatch::new(1))
    }

    /// Requests a capture, as [`request_capture`](Self::request_capture) does, with a channel from a batch.
    pub(crate) fn request_capture_in(
        &self,
        channels: &mut ChannelBatch<RawTrace>,
    ) -> Result<Receiver<RawTrace>, CaptureError> {
        if self.poll_state.has(FINISHED) {
            return Err(CaptureError::Finished);
        }
        let (sender, receiver) = channels.channel();
        let (mut sender, mut node) = (Some(sender), None);
        let queue = loop {
            let mut queue = self.lock_queue();
            if queue.requesters.push(&mut sender, &mut node) {
                break queue;
            }
            drop(queue);
            node = RequesterNode::empty();
        };
        let state = self
            .poll_state
            .change(|state| match state & (FINISHED | WAKER) {
                WAKER => state | CAPTURE | BORROWED,
                0 => state | CAPTURE,
                _ => state,
            });
        let error = if state & FINISHED != 0 {
            drop(queue);
            Some(CaptureError::Finished)
        } else if state & WAKER != 0 {
            // SAFETY: `WAKER` was set and `FINISHED` was clear in the step above, so the step has set `BORROWED`, with
            // the queue locked.
            let borrowed = unsafe { self.borrow_waker(queue, CAPTURE) };
            // A poll that runs meanwhile makes the same check, and refuses the request itself.
            foreign::demands_own_waker(borrowed.waker()).then_some(CaptureError::OwnWakers)
        } else {
            drop(queue);
            None
        };
        match error {
            None => Ok(receiver),
            Some(error) => {
                self.withdraw(&receiver);
                Err(error)
            }
        }
    }

    /// Borrows the waker of the task, to wake it for the pending captures.
    ///
    /// Returns `None` if the requests need no wake: if they have been answered, or if the first poll has not ended or a
    /// poll is replacing the waker, because that poll will see the requests.
    pub(crate) fn borrow_waker_for_capture(&self) -> Option<BorrowedWaker<'_>> {
        if self.poll_state.get() & (FINISHED | WAKER | CAPTURE) != WAKER | CAPTURE {
            return None;
        }
        self.borrow_waker_if(CAPTURE)
    }

    /// Borrows the waker of the task, to test whether the executor polls the task after a wake.
    ///
    /// Returns `None` if the task has finished, or if its first poll has not ended, because then there is no waker.
    /// Also returns `None` while a poll replaces the waker: that poll has not been counted yet, so a caller that read
    /// the number of polls before this call sees the number go up.
    pub(crate) fn borrow_waker_for_probe(&self) -> Option<BorrowedWaker<'_>> {
        if self.poll_state.get() & (FINISHED | WAKER) != WAKER {
            return None;
        }
        self.borrow_waker_if(0)
    }

    /// Borrows the waker, if there is one and all bits in `wanted` are set.
    fn borrow_waker_if(&self, wanted: u32) -> Option<BorrowedWaker<'_>> {
        let can_borrow = |state| state & (FINISHED | WAKER | wanted) == WAKER | wanted;
        let queue = self.lock_queue();
        let state = self.poll_state.change(|state| match can_borrow(state) {
            true => state | BORROWED,
            false => state,
        });
        // SAFETY: `can_borrow` accepts only states with `WAKER`, and then the step above has set `BORROWED`, with the
        // queue locked.
        can_borrow(state).then(|| unsafe { self.borrow_waker(queue, wanted) })
    }

    /// Borrows the waker.
    ///
    /// # Safety
    ///
    /// The caller must have set `BORROWED` while it held this lock, in a step in which `WAKER` was set.
    unsafe fn borrow_waker(
        &self,
        mut queue: MutexGuard<'_, RequestQueue<RawTrace>>,
        wanted: u32,
    ) -> BorrowedWaker<'_> {
        // SAFETY: `WakerCell::borrow` demands three things. The cell contains a waker, because the caller set
        // `BORROWED` in a step in which `WAKER` was set. No thread writes to the cell now, because a poller that finds
        // `BORROWED` set when it clears `WAKER` locks the queue before it writes, and `queue` holds that lock. No
        // thread drops the waker before the last use of the copy, because `is_borrowed` makes that poller leave the old
        // waker in the queue (`RequestQueue::retire`), where only a borrower that finds `borrowers` 0 drops it, and
        // this thread is counted there until the `BorrowedWaker` is dropped.
        let waker = unsafe { self.waker.borrow() };
        queue.borrowers += 1;
        queue.is_borrowed = true;
        drop(queue);
        BorrowedWaker {
            waker,
            header: self,
            wanted,
        }
    }

    /// Withdraws a request, unless it has been answered.
    pub(crate) fn withdraw(&self, receiver: &Receiver<RawTrace>) {
        let mut queue = self.lock_queue();
        let withdrawn = queue.requesters.remove(receiver);
        if queue.requesters.is_empty() {
            self.poll_state.clear(CAPTURE);
        }
        drop(queue);
        drop(withdrawn);
    }
}

/// The borrowed waker of a task. Dropping it ends the borrow, also when a panic unwinds.
pub(crate) struct BorrowedWaker<'a> {
    waker: ManuallyDrop<Waker>,
    header: &'a Header,
    /// The flags that must still be set when the task is woken.
    wanted: u32,
}

impl BorrowedWaker<'_> {
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Wakes the task, unless the requests have been answered meanwhile.
    ///
    /// A panic of the waker is caught: the panic hook has reported it, and the request stays pending.
    pub(crate) fn wake(self) {
        let is_wanted = |state| state & self.wanted == self.wanted;
        let state = self
            .header
            .poll_state
            .change(|state| match is_wanted(state) {
                true => state | PROBE,
                false => state,
            });
        if is_wanted(state) {
            foreign::wake_by_ref(&self.waker);
        }
    }
}

impl Drop for BorrowedWaker<'_> {
    fn drop(&mut self) {
        let mut queue = self.header.lock_queue();
        queue.borrowers -= 1;
        let replaced = match queue.borrowers {
            0 => {
                self.header.poll_state.clear(BORROWED);
                queue.is_borrowed = false;
                queue.replaced.take()
            }
            _ => None,
        };
        drop(queue);
        drop(replaced);
    }
}

#[cfg(all(test, tasktrace_loom))]
mod model;
