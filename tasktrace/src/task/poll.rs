//! Polls tasks and frames: the code that runs around every poll of a traced future.
//!
//! [`poll_task`] has a fast path and a slow path. The fast path is taken if one comparison shows that the poll needs
//! nothing but a scope. The slow path answers requests, stores a new waker and removes detached frames.
//!
//! # Marks
//!
//! [`poll_frame`], [`poll_task`] and [`enter_slow_scope`] are the *marks* at which stack walks end. They are not
//! inlined, so that they contain no code of the user: marks are not part of the walked stack. Work that only some polls
//! need is in separate functions, so that the marks spill few registers.
//!
//! # How often a future is polled
//!
//! Each function here that takes an [`ErasedFuture`] polls it once at most, and returns `Ready` only if that poll
//! has. The safety of [`poll_erased`](super::erased_future::poll_erased) depends on both.

use std::task::{Context, Poll, Waker};

use super::ended;
use super::erased_future::ErasedFuture;
use super::finish::finish;
use super::foreign;
use super::frame_state::FrameState;
use super::frames::PollTimes;
use super::last_poll::LastPoll;
use super::oneshot::CaptureError;
use super::poll_state::PROBE;
use super::poller::Poller;
use super::registration::Registration;
use super::requests::PollPurpose;
use super::runtimes;
use super::scope::{self, Scope, SlowPoll};
use super::snapshot;
use super::thread::ThreadIndex;
use super::thread_state::ThreadState;
use crate::capture::{self, Capture};
use crate::origin::{self, Identity};
use crate::runtime::RuntimeTaskId;

/// Polls `future` inside the traced frame `frame`, with this identity. Outside any task the frame becomes a new task.
#[inline]
pub(super) fn poll_traced(
    frame: &FrameState,
    identity: &Identity,
    future: &mut dyn ErasedFuture,
    cx: &mut Context<'_>,
) -> Poll<()> {
    match ThreadState::get() {
        Some(thread_state) => poll_on(thread_state, frame, identity, future, cx),
        None => future.poll(cx),
    }
}

/// Does the work of [`poll_traced`] on the thread of `thread_state`. It only jumps to other functions, so it has no
/// registers to save.
#[inline(never)]
fn poll_on(
    thread_state: &ThreadState,
    frame: &FrameState,
    identity: &Identity,
    future: &mut dyn ErasedFuture,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if thread_state.is_in_task() {
        return poll_frame(thread_state, frame, identity, future, cx);
    }
    match frame.registration().is_task() {
        true => poll_task(thread_state, frame.registration(), false, future, cx),
        false => poll_new_task(thread_state, frame, identity, future, cx),
    }
}

/// Polls a future as a frame of the task that is being polled on this thread. A [mark](self#marks).
#[inline(never)]
fn poll_frame(
    thread_state: &ThreadState,
    frame: &FrameState,
    identity: &Identity,
    future: &mut dyn ErasedFuture,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let Some(scope) = Scope::frame(thread_state, frame, identity, cx.waker()) else {
        return future.poll(cx);
    };
    // A future to which there is a task handle stays a task, wherever it is polled.
    if frame.registration().is_task() || !thread_state.allows_fast_path() {
        return poll_frame_slow(thread_state, frame, identity, future, cx);
    }
    match scope.enter(thread_state, || future.poll(cx)) {
        Poll::Pending => {
            frame.note_suspended(thread_state, &scope);
            Poll::Pending
        }
        Poll::Ready(()) => {
            frame.note_resolved(thread_state, &scope);
            Poll::Ready(())
        }
    }
}

/// Does the work of [`poll_frame`] for a future that is a task of its own, or in a poll that may be captured.
#[cold]
#[inline(never)]
fn poll_frame_slow(
    thread_state: &ThreadState,
    frame: &FrameState,
    identity: &Identity,
    future: &mut dyn ErasedFuture,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let scope = match Scope::frame(thread_state, frame, identity, cx.waker()) {
        Some(scope) if !frame.registration().is_task() => scope,
        _ => return poll_task(thread_state, frame.registration(), false, future, cx),
    };
    let capture = scope.capture();
    let result = scope.enter(thread_state, || match capture {
        None => future.poll(cx),
        Some(_) if foreign::demands_own_waker(cx.waker()) => future.poll(cx),
        Some(capture) => capture.poll_frame(cx, |cx| future.poll(cx)),
    });
    match result {
        Poll::Pending => frame.note_suspended(thread_state, &scope),
        Poll::Ready(()) => frame.note_resolved(thread_state, &scope),
    }
    result
}

/// Makes a frame a task, and polls it.
#[inline(never)]
fn poll_new_task(
    thread_state: &ThreadState,
    frame: &FrameState,
    identity: &Identity,
    future: &mut dyn ErasedFuture,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if frame.registration().has_finished() {
        return future.poll(cx);
    }
    frame.make_task(thread_state, identity);
    poll_task(thread_state, frame.registration(), false, future, cx)
}

/// Polls the task of this registration. `is_also_frame`: the future is polled as a frame of another task at the same
/// time. A [mark](self#marks).
///
/// Outside any other task, the poll state and the waker alone decide between the fast path and the slow path.
#[inline(never)]
pub(super) fn poll_task(
    thread_state: &ThreadState,
    registration: &Registration,
    is_also_frame: bool,
    future: &mut dyn ErasedFuture,
    cx: &mut Context<'_>,
) -> Poll<()> {
    // SAFETY: the contract of `Registration::poller` allows its use to the caller that polls the future, which this
    // function does, until the task finishes. The task finishes in `finish` below at the earliest, and `poller` is
    // not used after that.
    let Some(poller) = (unsafe { registration.poller() }) else {
        return future.poll(cx);
    };
    let result = match poller.fast_path_poll(thread_state, cx.waker()) {
        Some(last_poll) => poll_fast(thread_state, poller, last_poll, future, cx),
        None => poll_slow(thread_state, poller, is_also_frame, future, cx),
    };
    if result.is_ready() {
        // SAFETY: this function polls the future of the registration, and `poller`, the only `Poller` made of it
        // here, is not used after this line. The scope that had a copy of it has been left.
        unsafe { finish(registration) };
    }
    result
}

/// Polls a task on the fast path: the poll state has shown that the poll needs only a scope.
#[inline]
fn poll_fast(
    thread_state: &ThreadState,
    poller: Poller<'_>,
    last_poll: LastPoll,
    future: &mut dyn ErasedFuture,
    cx: &mut Context<'_>,
) -> Poll<()> {
    poller.store_started(last_poll);
    let scope = Scope::task(thread_state, poller, cx.waker(), None);
    let on_panic = AnswerOnPanic(scope.polled());
    let result = scope.enter(thread_state, || future.poll(cx));
    on_panic.disarm();
    // Everything is read from the scope again, so that no registers have to be saved for it during the poll.
    if result.is_pending() {
        let poller = *scope.polled();
        poller.note_suspended();
        if !poller.has_waker() {
            poller.future_address.note(future);
            end_first_poll(poller, scope.waker(), false);
        }
    }
    result
}

/// Completes the first poll of a task, which has left the task suspended. `was_captured`: the poll has captured the
/// task, so the waiting requesters get their answer.
#[cold]
#[inline(never)]
fn end_first_poll(poller: Poller<'_>, waker: &Waker, was_captured: bool) {
    let on_panic = AnswerOnPanic(&poller);
    let waker = capture::real(waker);
    poller.end_first_poll(waker, was_captured);
    on_panic.disarm();
    runtimes::note_suspended(poller);
}

/// Polls a task on the slow path.
#[cold]
#[inline(never)]
fn poll_slow(
    thread_state: &ThreadState,
    poller: Poller<'_>,
    is_also_frame: bool,
    future: &mut dyn ErasedFuture,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let on_panic = AnswerOnPanic(&poller);
    if !is_also_frame {
        poller.note_runtime_task(RuntimeTaskId::current);
    }
    let is_nested = thread_state.is_in_task();
    let is_first = !poller.has_waker();
    let purpose = begin_slow_poll(thread_state, poller, capture::real(cx.waker()));
    let (last_poll, frames_version) = (poller.last_poll(), poller.frames_version());
    poller.start_poll();
    // A task polled inside a requested poll of another task is polled for that request, unless its own waker was
    // woken.
    let is_requested =
        purpose != PollPurpose::Task || is_nested && scope::is_polled_for_request(cx.waker());
    let state_before = is_requested.then(|| BeforePoll::new(poller, last_poll, frames_version));
    let requested_poll = state_before.as_ref().map(|_| RequestedPoll::count(poller));
    let slow_poll = SlowPoll::new(is_also_frame, is_requested);
    let mut woke_frames = false;
    let (result, recording) = match purpose {
        PollPurpose::Task | PollPurpose::Probe => {
            let result = enter_slow_scope(thread_state, poller, &slow_poll, cx, |scope, cx| {
                match scope.capture() {
                    None => future.poll(cx),
                    Some(_) if foreign::demands_own_waker(cx.waker()) => future.poll(cx),
                    // The capture is of a task around this one.
                    Some(capture) => capture.poll(cx, |cx| future.poll(cx)),
                }
            });
            (result, None)
        }
        PollPurpose::Capture => {
            woke_frames = wake_frames(poller);
            let (result, recording) =
                enter_slow_scope(thread_state, poller, &slow_poll, cx, |scope, cx| {
                    let capture = Capture::new(scope.mark(), scope::active_scopes);
                    let poll = || capture.as_ref().poll(cx, |cx| future.poll(cx));
                    let result = scope.enter_capture(&capture, poll);
                    (result, capture.finish())
                });
            (result, Some(recording))
        }
    };
    if result.is_pending() {
        if woke_frames {
            // Frames that are woken wake their task, which is polled once more because of that.
            poller.poll_state.set(PROBE);
        }
        // Before the answer is delivered, so that its receiver finds the task as this poll left it.
        match state_before {
            Some(before) if before.made_no_progress(poller) => {
                std::mem::forget(requested_poll);
                poller.note_suspended_without_progress(before.last_poll, before.times.as_ref());
            }
            _ => {
                drop(requested_poll);
                poller.note_suspended();
            }
        }
        if is_first {
            poller.future_address.note(future);
            end_first_poll(poller, cx.waker(), recording.is_some());
        } else if recording.is_some() {
            runtimes::note_suspended(poller);
        }
        match recording {
            Some(Some(recording)) => {
                poller.answer(snapshot::complete_capture(poller.header(), recording));
            }
            Some(None) => poller.refuse(CaptureError::NoRoom),
            None => {}
        }
    }
    on_panic.disarm();
    result
}

/// Begins a poll on the slow path: takes pending requests, stores a new waker and removes detached frames. Returns
/// what the poll is for.
fn begin_slow_poll(thread_state: &ThreadState, poller: Poller<'_>, waker: &Waker) -> PollPurpose {
    let thread = ThreadIndex::of(thread_state).map_or(0, |index| index.0);
    let purpose = poller.begin_poll(waker, thread, thread_state.is_in_task());
    poller.remove_detached();
    if purpose != PollPurpose::Capture {
        return purpose;
    }
    let refused = match foreign::demands_own_waker(waker) {
        true => CaptureError::OwnWakers,
        false if !capture::has_stack_room() => CaptureError::NoRoom,
        false => return PollPurpose::Capture,
    };
    poller.refuse(refused);
    PollPurpose::Probe
}

/// A poll that only a request has caused, which is not counted as one of the task's own. Dropping this value, also when
/// the poll panics, counts it after all.
struct RequestedPoll<'a>(Poller<'a>);

impl<'a> RequestedPoll<'a> {
    fn count(poller: Poller<'a>) -> Self {
        poller.count_answering_poll(1);
        Self(poller)
    }
}

impl Drop for RequestedPoll<'_> {
    fn drop(&mut self) {
        self.0.count_answering_poll(-1);
    }
}

/// The state of a task before a requested poll.
struct BeforePoll {
    last_poll: LastPoll,
    frames_version: u32,
    /// When the frames were last polled. `None` without wait limits, because only these need it.
    times: Option<PollTimes>,
}

impl BeforePoll {
    fn new(poller: Poller<'_>, last_poll: LastPoll, frames_version: u32) -> Self {
        Self {
            last_poll,
            frames_version,
            times: origin::any_limits().then(|| poller.times()),
        }
    }

    /// Returns `true` if the poll has not changed the task, as far as its frames show. Then the task counts as having
    /// waited all along.
    fn made_no_progress(&self, poller: Poller<'_>) -> bool {
        poller.frames_version() == self.frames_version && poller.polls() > 1
    }
}

/// Wakes the frames that have wakers of their own, because the combinators that made these wakers poll only woken
/// frames, and are about to be polled. Returns `true` if there are any.
///
/// A panic of a waker does not end the task: the panic hook has reported it.
fn wake_frames(poller: Poller<'_>) -> bool {
    let wakers = poller.wakers();
    let any = !wakers.is_empty();
    for waker in wakers {
        foreign::wake(waker);
    }
    any
}

/// Answers waiting requesters when a poll panics, in the future or in a waker.
struct AnswerOnPanic<'a>(&'a Poller<'a>);

impl AnswerOnPanic<'_> {
    fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for AnswerOnPanic<'_> {
    #[inline]
    fn drop(&mut self) {
        report_panic(*self.0);
    }
}

/// Ends a poll that has panicked: answers requesters, and adds the task to those that [`ended`] keeps.
#[cold]
#[inline(never)]
fn report_panic(poller: Poller<'_>) {
    poller.panicked();
    poller.note_suspended();
    ended::note_panic(poller.header());
}

/// Calls `run` in the scope of a task. A [mark](self#marks).
#[inline(never)]
fn enter_slow_scope<R>(
    thread_state: &ThreadState,
    poller: Poller<'_>,
    slow_poll: &SlowPoll,
    cx: &mut Context<'_>,
    run: impl FnOnce(&Scope<'_>, &mut Context<'_>) -> R,
) -> R {
    let scope = Scope::task(thread_state, poller, cx.waker(), Some(slow_poll));
    scope.enter(thread_state, || run(&scope, cx))
}
