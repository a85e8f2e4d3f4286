//! One poll of a task.

use std::task::{Context, Poll, Waker};

use super::answer::End;
use super::body::Body;
use super::ended;
use super::exchange::Request;
use super::finish::finish;
use super::foreign;
use super::frames::Times;
use super::head::Head;
use super::link::Link;
use super::live;
use super::local::Local;
use super::poller::Poller;
use super::scope::{self, Scope, Unusual};
use super::stamp::Stamp;
use super::thread::Token;
use super::turn::PROBE;
use super::witness;
use crate::capture::{self, Capture};
use crate::host::Job;
use crate::origin::{self, Identity};

/// Polls a future with a frame of its own, which is what `head` knows, and is known by `identity`: as a task, or as a
/// frame of the one in whose poll this is.
///
/// Returns `Ready` only if the body has, which is polled once at most.
#[inline]
pub(super) fn enter(
    head: &Head,
    identity: &Identity,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    match Local::get() {
        Some(local) => enter_on(local, head, identity, body, cx),
        None => body.poll(cx),
    }
}

/// [`enter`] on the thread that has this. It only jumps to others, so it has no registers to save.
#[inline(never)]
fn enter_on(
    local: &Local,
    head: &Head,
    identity: &Identity,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if local.is_in_task() {
        return enter_frame(local, head, identity, body, cx);
    }
    match head.link().is_task() {
        true => enter_task(local, head.link(), false, body, cx),
        false => enter_new_task(local, head, identity, body, cx),
    }
}

/// Polls a future as a frame of the task that is being polled on this thread.
///
/// This function and [`enter_task`] are the marks at which walks end. They are not inlined, so that nothing of the user's
/// is in them, because they are not part of the walk. All that is not done in each poll is in functions of its own, so
/// that these have few registers to save.
#[inline(never)]
fn enter_frame(
    local: &Local,
    head: &Head,
    identity: &Identity,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let Some(scope) = Scope::frame(local, head, identity, cx.waker()) else {
        return body.poll(cx);
    };
    // Whoever has a handle to it as a task keeps it as one, wherever it is polled.
    if head.link().is_task() || !local.needs_nothing() {
        return enter_unusual_frame(local, head, identity, body, cx);
    }
    match scope.enter(local, || body.poll(cx)) {
        Poll::Pending => {
            head.suspended(local, &scope);
            Poll::Pending
        }
        Poll::Ready(()) => {
            head.resolved(local, &scope);
            Poll::Ready(())
        }
    }
}

/// [`enter_frame`] of a future that is a task of its own, or in a poll that may be captured.
#[cold]
#[inline(never)]
fn enter_unusual_frame(
    local: &Local,
    head: &Head,
    identity: &Identity,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let scope = match Scope::frame(local, head, identity, cx.waker()) {
        Some(scope) if !head.link().is_task() => scope,
        _ => return enter_task(local, head.link(), false, body, cx),
    };
    let capture = scope.capture();
    let result = scope.enter(local, || match capture {
        None => body.poll(cx),
        Some(_) if foreign::is_demanded(cx.waker()) => body.poll(cx),
        Some(capture) => capture.watch(cx, |cx| body.poll(cx)),
    });
    match result {
        Poll::Pending => head.suspended(local, &scope),
        Poll::Ready(()) => head.resolved(local, &scope),
    }
    result
}

/// Makes a task of a future with a frame, and polls it.
#[inline(never)]
fn enter_new_task(
    local: &Local,
    head: &Head,
    identity: &Identity,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if head.link().has_finished() {
        return body.poll(cx);
    }
    head.make_task(local, identity);
    enter_task(local, head.link(), false, body, cx)
}

/// Polls the task of this link. If it is polled outside of any other, one word and the waker tell whether there is anything
/// to be said of the poll. `is_also_frame`: it is polled as a frame of another task at the same time.
///
/// Returns `Ready` only if the body has, which is polled once at most.
#[inline(never)]
pub(super) fn enter_task(
    local: &Local,
    link: &Link,
    is_also_frame: bool,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    // SAFETY: the caller polls the future, and the task finishes below, when the poller is not used any more.
    let Some(poller) = (unsafe { link.poller() }) else {
        return body.poll(cx);
    };
    let result = match poller.usual_poll(local, cx.waker()) {
        Some(stamp) => run(local, poller, stamp, body, cx),
        None => attend(local, poller, is_also_frame, body, cx),
    };
    if result.is_ready() {
        // SAFETY: the caller polls the future, and the poller is not used any more.
        unsafe { finish(link) };
    }
    result
}

/// Polls a task in a poll of which there is nothing to be said.
#[inline]
fn run(
    local: &Local,
    poller: Poller<'_>,
    stamp: Stamp,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    poller.note_poll_of(stamp);
    let scope = Scope::task(local, poller, cx.waker(), None);
    let on_panic = OnPanic(scope.polled());
    let result = scope.enter(local, || body.poll(cx));
    on_panic.disarm();
    // All from the scope again, so that no registers have to be saved for it.
    if result.is_pending() {
        let poller = *scope.polled();
        poller.note_settled();
        if !poller.has_waker() {
            end_first_poll(poller, scope.waker(), false);
        }
    }
    result
}

/// The first poll of a task has left it suspended. `was_captured`: those who have asked are answered.
#[cold]
#[inline(never)]
fn end_first_poll(poller: Poller<'_>, waker: &Waker, was_captured: bool) {
    let on_panic = OnPanic(&poller);
    let waker = capture::real(waker);
    poller.end_first_poll(waker, was_captured);
    on_panic.disarm();
    witness::note(poller);
}

/// Polls a task, whatever there is to be said of the poll.
#[cold]
#[inline(never)]
fn attend(
    local: &Local,
    poller: Poller<'_>,
    is_also_frame: bool,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let on_panic = OnPanic(&poller);
    if !is_also_frame {
        poller.note_job(Job::current);
    }
    let is_nested = local.is_in_task();
    let is_first = !poller.has_waker();
    let request = begin(local, poller, capture::real(cx.waker()));
    let (before, frames_before) = (poller.stamp(), poller.frames_version());
    poller.note_poll();
    // What is polled by a task whose poll was asked for is polled for that, unless it was woken.
    let is_asked = request != Request::None || is_nested && scope::is_asked(cx.waker());
    let asked = is_asked.then(|| Asked::new(poller, before, frames_before));
    let not_own = asked.as_ref().map(|_| NotOwnPoll::count(poller));
    let unusual = Unusual::new(is_also_frame, is_asked);
    let mut has_woken = false;
    let (result, captured) = match request {
        Request::None | Request::Probe => {
            let result = enter_unusual(local, poller, &unusual, cx, |scope, cx| {
                match scope.capture() {
                    None => body.poll(cx),
                    Some(_) if foreign::is_demanded(cx.waker()) => body.poll(cx),
                    // That of a task around this one.
                    Some(capture) => capture.poll(cx, |cx| body.poll(cx)),
                }
            });
            (result, None)
        }
        Request::Capture => {
            has_woken = wake_children(poller);
            let (result, raw) = enter_unusual(local, poller, &unusual, cx, |scope, cx| {
                let capture = Capture::new(scope.mark(), scope::surroundings);
                let poll = || capture.as_ref().poll(cx, |cx| body.poll(cx));
                let result = scope.enter_capture(&capture, poll);
                (result, capture.finish())
            });
            (result, Some(raw))
        }
    };
    if result.is_pending() {
        if has_woken {
            // Children that are woken wake their task, which is polled once more for that.
            poller.turn.set(PROBE);
        }
        // Before the answer is given: whoever has it finds the task as it left it.
        match asked {
            Some(asked) if asked.was_for_nothing_else(poller) => {
                std::mem::forget(not_own);
                poller.note_settled_idle(asked.stamp, asked.times.as_ref());
            }
            _ => {
                drop(not_own);
                poller.note_settled();
            }
        }
        if is_first {
            end_first_poll(poller, cx.waker(), captured.is_some());
        } else if captured.is_some() {
            witness::note(poller);
        }
        match captured {
            Some(Some(recording)) => {
                poller.answer(live::complete(poller.record(), recording));
            }
            Some(None) => poller.refuse(End::NoRoom),
            None => {}
        }
    }
    on_panic.disarm();
    result
}

/// Takes what there is to be said of a poll that begins: who has asked, a new waker, and frames that have ended
/// elsewhere. Returns what the poll is for.
fn begin(local: &Local, poller: Poller<'_>, waker: &Waker) -> Request {
    let thread = Token::of(local).map_or(0, |token| token.0);
    let request = poller.begin_poll(waker, thread, local.is_in_task());
    poller.take_off_gone();
    if request != Request::Capture {
        return request;
    }
    let refused = match foreign::is_demanded(waker) {
        true => End::OwnWakers,
        false if !capture::has_room() => End::NoRoom,
        false => return Request::Capture,
    };
    poller.refuse(refused);
    Request::Probe
}

/// A poll that a request has caused, and so is not counted as one of the task's own. Dropping this takes that
/// back, also when the poll panics.
struct NotOwnPoll<'a>(Poller<'a>);

impl<'a> NotOwnPoll<'a> {
    fn count(poller: Poller<'a>) -> Self {
        poller.count_asked_poll(1);
        Self(poller)
    }
}

impl Drop for NotOwnPoll<'_> {
    fn drop(&mut self) {
        self.0.count_asked_poll(-1);
    }
}

/// How a task was before a poll that somebody has asked for.
struct Asked {
    stamp: Stamp,
    version: u32,
    /// When the frames were last polled. Nobody wants to know unless there are limits.
    times: Option<Times>,
}

impl Asked {
    fn new(poller: Poller<'_>, stamp: Stamp, version: u32) -> Self {
        Self {
            stamp,
            version,
            times: origin::any_limits().then(|| poller.times()),
        }
    }

    /// Whether the task has not gone on in this poll, as far as can be seen: then it is taken to
    /// have been waiting all along.
    fn was_for_nothing_else(&self, poller: Poller<'_>) -> bool {
        poller.frames_version() == self.version && poller.polls() > 1
    }
}

/// Has the frames polled that only are when their own waker was woken: the combinators that made
/// these wakers are about to be polled. Returns `true` if there are any.
///
/// A panic of a waker does not end the task. The panic hook has reported it.
fn wake_children(poller: Poller<'_>) -> bool {
    let wakers = poller.wakers();
    let any = !wakers.is_empty();
    for waker in wakers {
        foreign::wake(waker);
    }
    any
}

/// Answers whoever has asked, when a poll panics: the future, or a waker that it was handed.
struct OnPanic<'a>(&'a Poller<'a>);

impl OnPanic<'_> {
    fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for OnPanic<'_> {
    #[inline]
    fn drop(&mut self) {
        note_panic(*self.0);
    }
}

/// A poll of a task has panicked.
#[cold]
#[inline(never)]
fn note_panic(poller: Poller<'_>) {
    poller.panicked();
    poller.note_settled();
    ended::note_panic(poller.record());
}

/// Calls `run` in the scope of a task. A mark, as [`enter_task`] is.
#[inline(never)]
fn enter_unusual<R>(
    local: &Local,
    poller: Poller<'_>,
    unusual: &Unusual,
    cx: &mut Context<'_>,
    run: impl FnOnce(&Scope<'_>, &mut Context<'_>) -> R,
) -> R {
    let scope = Scope::task(local, poller, cx.waker(), Some(unusual));
    scope.enter(local, || run(&scope, cx))
}
