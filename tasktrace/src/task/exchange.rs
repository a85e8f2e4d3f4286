//! How a task is asked for a trace, and how it answers.
//!
//! Two sides share a record:
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
//! An asker locks the queue, adds itself, and sets `CAPTURE`. After that the asker, or a thread that does
//! so for it (see [`waking`](super::waking)), locks it again, and if there is a waker (`WAKER`) then,
//! borrows that, unlocks, and wakes. A poller that has stored a new waker sets `WAKER`. All change
//! the same word, so one comes first: either `CAPTURE`, and the poller sees it then, which it looks
//! for after that; or `WAKER`, and the waker of this poll is woken, which obliges the executor
//! to poll again. Where `CAPTURE` is not set any more, there has been an answer. A poller that is handed the waker it has already stored does neither: if it does not
//! see `CAPTURE`, the asker is still going to wake that same waker.
//!
//! The first waker is stored when the first poll has ended, because most tasks that resolve in it are
//! never asked. If somebody has asked by then, the poller wakes the task itself.
//!
//! # Whose the waker is
//!
//! A thread that wakes the task *borrows* the waker, so that it need not call `clone`. In the step in which it finds
//! `WAKER` it sets `LENT`. The last borrower clears `LENT`. A poller that
//! wants to replace the waker clears `WAKER` first. If `LENT` was not set then, no thread has the waker, and
//! none can borrow it before `WAKER` is set again, so the poller owns it. If `LENT` was set, the poller locks the queue,
//! and while a borrower has the old waker, leaves it there for the last borrower to drop.
//!
//! # Probes
//!
//! A probe is a wake like any other, and what comes of it is for the prober to see in the count of
//! polls. A poll that only a wake of ours has caused does not count as one of the task's own, nor as progress
//! (see [`drive`](super::drive)). So a thread sets `PROBE` right before it wakes the task, for a
//! probe and for a request alike, and the first poll that begins after that takes the bit. The bit outlives the request: a poll in
//! progress may answer it while the thread wakes, which makes another poll, or the requester withdraws it before
//! the executor has polled. A poll that another wake causes between the bit and the wake takes the bit too
//! early. Then the next poll is counted.
//!
//! # Nobody else's code under the lock
//!
//! Wakers, answers and replaced wakers are woken, delivered and dropped after unlocking. An answer goes
//! to a place that the asker has made for it: see [`answer`](super::answer).
//!
//! # What the poller pays
//!
//! While nobody asks: a comparison of two wakers and of a word.

mod respond;

use std::mem::ManuallyDrop;
use std::task::Waker;

use super::answer::{Answer, Answers, End};
use super::foreign;
use super::queue::{Other, Queue};
use super::record::Record;
use super::turn::{CAPTURE, FINISHED, LENT, PROBE, WAKER};
use crate::capture::RawTrace;
use crate::sync::{MutexGuard, lock};

pub(crate) use respond::Request;

/// For those who ask.
impl Record {
    fn lock_queue(&self) -> MutexGuard<'_, Queue<RawTrace>> {
        lock(&self.extras.get_or_insert().queue)
    }

    /// Whether somebody waits for an answer.
    pub(crate) fn is_asked(&self) -> bool {
        self.turn.has(CAPTURE)
    }

    /// Adds a question. The requester [wakes](Self::lend_for_capture) the task, or has it woken.
    pub(crate) fn ask(&self) -> Result<Answer<RawTrace>, End> {
        self.ask_in(&mut Answers::new(1))
    }

    /// The same, as one of many.
    pub(crate) fn ask_in(&self, answers: &mut Answers<RawTrace>) -> Result<Answer<RawTrace>, End> {
        if self.turn.has(FINISHED) {
            return Err(End::Finished);
        }
        let (giver, answer) = answers.promise();
        let (mut giver, mut place) = (Some(giver), None);
        let queue = loop {
            let mut queue = self.lock_queue();
            if queue.waiting.push(&mut giver, &mut place) {
                break queue;
            }
            drop(queue);
            place = Other::place();
        };
        let turn = self.turn.change(|turn| match turn & (FINISHED | WAKER) {
            WAKER => turn | CAPTURE | LENT,
            0 => turn | CAPTURE,
            _ => turn,
        });
        let end = if turn & FINISHED != 0 {
            drop(queue);
            Some(End::Finished)
        } else if turn & WAKER != 0 {
            let loan = self.borrow(queue, CAPTURE);
            // Should the task be polled meanwhile, then it finds out by itself.
            foreign::is_demanded(loan.waker()).then_some(End::OwnWakers)
        } else {
            drop(queue);
            None
        };
        match end {
            None => Ok(answer),
            Some(end) => {
                self.withdraw(&answer);
                Err(end)
            }
        }
    }

    /// The waker of the task, to wake it for those who have asked. `None` if they have been answered
    /// meanwhile, or will be by a poll that has begun, or about to: while its first poll has not ended, or
    /// its waker is being replaced, it sees what is asked.
    pub(crate) fn lend_for_capture(&self) -> Option<Loan<'_>> {
        if self.turn.get() & (FINISHED | WAKER | CAPTURE) != WAKER | CAPTURE {
            return None;
        }
        self.lend(CAPTURE)
    }

    /// The waker of the task, to wake it to see whether it is polled. `None` if it has ended, or if its
    /// first poll has not: then there is nothing to wake it with. `None` also while the waker is being
    /// replaced: then a poll is about to begin, and a caller that has read the number of polls before this call
    /// sees that poll.
    pub(crate) fn lend_for_probe(&self) -> Option<Loan<'_>> {
        if self.turn.get() & (FINISHED | WAKER) != WAKER {
            return None;
        }
        self.lend(0)
    }

    /// Lends the waker, if there is one, and all of the bits in `wanted` are set.
    fn lend(&self, wanted: u32) -> Option<Loan<'_>> {
        let is_meant = |turn| turn & (FINISHED | WAKER | wanted) == WAKER | wanted;
        let queue = self.lock_queue();
        let turn = self.turn.change(|turn| match is_meant(turn) {
            true => turn | LENT,
            false => turn,
        });
        is_meant(turn).then(|| self.borrow(queue, wanted))
    }

    /// Takes the waker on loan. The caller has set `LENT` with this lock, in a step in which there was `WAKER`.
    fn borrow(&self, mut queue: MutexGuard<'_, Queue<RawTrace>>, wanted: u32) -> Loan<'_> {
        // SAFETY: the caller has set `LENT` in a step in which `WAKER` was set, so there is a waker. To replace or to drop one
        // that is lent requires the lock that `queue` holds, and waits for the end of the loan.
        let waker = unsafe { self.waker.borrow() };
        queue.borrowers += 1;
        queue.is_lent = true;
        drop(queue);
        Loan {
            waker,
            record: self,
            wanted,
        }
    }

    /// Takes a question back, if it has not been answered.
    pub(crate) fn withdraw(&self, answer: &Answer<RawTrace>) {
        let mut queue = self.lock_queue();
        let withdrawn = queue.waiting.remove(answer);
        if queue.waiting.is_empty() {
            self.turn.clear(CAPTURE);
        }
        drop(queue);
        drop(withdrawn);
    }
}

/// A waker on loan, which is given back also after a panic.
pub(crate) struct Loan<'a> {
    waker: ManuallyDrop<Waker>,
    record: &'a Record,
    /// The bits without which the task need not be woken.
    wanted: u32,
}

impl Loan<'_> {
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Wakes the task, unless the requests have been answered since. A panic of the waker does not reach the
    /// requester. The panic hook has reported it. The question stands all the same.
    pub(crate) fn wake(self) {
        let is_wanted = |turn| turn & self.wanted == self.wanted;
        let turn = self.record.turn.change(|turn| match is_wanted(turn) {
            true => turn | PROBE,
            false => turn,
        });
        if is_wanted(turn) {
            foreign::wake_by_ref(&self.waker);
        }
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let mut queue = self.record.lock_queue();
        queue.borrowers -= 1;
        let replaced = match queue.borrowers {
            0 => {
                self.record.turn.clear(LENT);
                queue.is_lent = false;
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
