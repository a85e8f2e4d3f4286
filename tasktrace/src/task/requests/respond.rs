//! Answers the requests to a task: the poller's side of [`requests`](super).

use std::task::Waker;

use crate::capture::RawTrace;
use crate::sync::MutexGuard;
use crate::task::foreign;
use crate::task::oneshot::CaptureError;
use crate::task::poll_state::{
    BORROWED, CAPTURE, FINISHED, NESTED, PANICKED, PROBE, PollState, WAKER,
};
use crate::task::poller::Poller;
use crate::task::queue::{ReplacedWaker, RequestQueue, Requesters};

/// The reason for a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum PollPurpose {
    /// The executor polls the task for its own sake.
    Task,
    /// tasktrace has woken the task, and no capture is pending.
    Probe,
    /// A capture is pending.
    Capture,
}

impl Poller<'_> {
    /// Prepares the state for a poll that takes the slow path, with this waker, on the thread of this index.
    /// `is_nested` says that the poll is inside a poll of another task.
    ///
    /// Returns the purpose of the poll. This clears `PROBE`. `CAPTURE` stays set until the answer.
    pub(crate) fn begin_poll(self, waker: &Waker, thread: u32, is_nested: bool) -> PollPurpose {
        // The first poll stores its waker when it ends.
        if self.has_waker() && !self.has_same_waker(waker) {
            // SAFETY: `has_waker` has returned `true`, and only the poller, which is this thread, clears `WAKER`.
            unsafe { self.replace_waker(waker) };
        }
        let new = PollState::on_thread(thread) | if is_nested { NESTED } else { 0 };
        // The flags that this poll does not change.
        let kept = !(PollState::on_thread(u32::MAX) | NESTED | PANICKED | PROBE);
        let mut state = self.poll_state.get();
        if state != state & kept | new {
            state = self.poll_state.change(|state| state & kept | new);
        }
        match state & (CAPTURE | PROBE) {
            0 => PollPurpose::Task,
            PROBE => PollPurpose::Probe,
            _ => PollPurpose::Capture,
        }
    }

    /// Stores the waker of the first poll, which has left the task suspended.
    ///
    /// Wakes the task if a request came during the poll. If the poll was a capture (`was_captured`), it answers these
    /// requests, and no wake is needed.
    pub(crate) fn end_first_poll(self, waker: &Waker, was_captured: bool) {
        if self.poll_state.has(WAKER) {
            return;
        }
        // If `clone` panics, requests wait for the next poll, because there is no waker.
        let Some(own) = foreign::clone(waker) else {
            return;
        };
        // SAFETY: `WAKER` is clear, so the cell is empty, and no thread begins to borrow from it. There is no earlier
        // borrower, because no thread sets `BORROWED` before the first waker is stored.
        unsafe { self.waker.put(own) };
        let state = self.poll_state.set_own(WAKER);
        if !was_captured && state & (CAPTURE | PROBE) != 0 {
            self.poll_state.set(PROBE);
            foreign::wake_by_ref(waker);
        }
    }

    /// Replaces the stored waker.
    ///
    /// # Safety
    ///
    /// The cell must contain a waker: `WAKER` must be set.
    #[cold]
    unsafe fn replace_waker(self, waker: &Waker) {
        // If `clone` panics, requests wake the old waker until the next poll.
        let Some(waker) = foreign::clone(waker) else {
            return;
        };
        let state = self.poll_state.clear(WAKER);
        // If the waker is not borrowed, no thread accesses the cell until `WAKER` is set again.
        let is_borrowed = state & BORROWED != 0;
        let mut node = is_borrowed.then(ReplacedWaker::empty).flatten();
        let queue = is_borrowed.then(|| self.lock_queue());
        // SAFETY: the `# Safety` section says that the cell contains a waker. No other thread accesses the cell:
        // `WAKER` is clear, so none begins to borrow. A thread that began before has set `BORROWED` and copied the
        // waker with the queue locked, and in that case this thread holds that lock now.
        let old = unsafe {
            let old = self.waker.take();
            self.waker.put(waker);
            old
        };
        let old = retire(queue, old, &mut node);
        self.poll_state.set(WAKER);
        foreign::drop(old);
    }

    /// Answers all pending requests.
    pub(crate) fn answer(self, answer: RawTrace) {
        self.take_requesters().send_all(Ok(answer));
    }

    /// Notes that a poll panicked, and answers all pending requests with that error. The future may be polled again.
    pub(crate) fn panicked(self) {
        let state = self.poll_state.change(|state| match state & FINISHED {
            0 => state | PANICKED,
            _ => state,
        });
        if state & CAPTURE != 0 {
            self.take_requesters().send_all(Err(CaptureError::Panicked));
        }
    }

    /// Answers all pending requests with the error that the task cannot be captured.
    #[cold]
    pub(crate) fn refuse(self, reason: CaptureError) {
        self.take_requesters().send_all(Err(reason));
    }

    /// Marks the task as finished, and answers all pending requests with that error. Returns the waker, to be dropped,
    /// or `None` if there is none or if the last borrower drops it.
    pub(crate) fn finish(self) -> Option<Waker> {
        let state = self.poll_state.change(|state| state & !WAKER | FINISHED);
        let has_waker = state & WAKER != 0;
        if state & (CAPTURE | BORROWED) == 0 {
            // No request is pending, and a later request sees `FINISHED`.
            //
            // SAFETY: `WAKER` was set, so the cell contains a waker. The step above has cleared it, so no thread begins
            // to borrow, and `BORROWED` was clear in that step, so no thread began before.
            return has_waker.then(|| unsafe { self.waker.take() });
        }
        let mut node = ReplacedWaker::empty();
        let mut queue = self.lock_queue();
        self.poll_state.clear(CAPTURE);
        let requesters = std::mem::replace(&mut queue.requesters, Requesters::none());
        // SAFETY: `WAKER` was set, so the cell contains a waker. The step above has cleared it, so no thread begins to
        // borrow. A thread that began before has copied the waker with the queue locked, and this thread holds that
        // lock.
        let waker = has_waker.then(|| unsafe { self.waker.take() });
        let waker = match waker {
            Some(waker) => retire(Some(queue), waker, &mut node),
            None => {
                drop(queue);
                None
            }
        };
        requesters.send_all(Err(CaptureError::Finished));
        waker
    }

    /// Takes all pending requests off the queue.
    pub(super) fn take_requesters(self) -> Requesters<RawTrace> {
        let mut queue = self.lock_queue();
        self.poll_state.clear(CAPTURE);
        std::mem::replace(&mut queue.requesters, Requesters::none())
    }
}

/// Retires a waker that is no longer the task's, and unlocks the queue. Returns the waker if it can be dropped now.
/// There is no `queue` if no thread can have borrowed the waker.
fn retire(
    queue: Option<MutexGuard<'_, RequestQueue<RawTrace>>>,
    waker: Waker,
    node: &mut Option<Box<ReplacedWaker>>,
) -> Option<Waker> {
    match queue {
        Some(mut queue) => queue.retire(waker, node),
        None => Some(waker),
    }
}
