//! One poll of a task.

use std::task::{Context, Poll, Waker};

use super::answer::End;
use super::body::Body;
use super::ended;
use super::exchange::Request;
use super::finish::finish;
use super::foreign;
use super::frames::Times;
use super::head::{Head, Root};
use super::link::Link;
use super::live;
use super::local::Local;
use super::name::NameRef;
use super::poller::Poller;
use super::scope::{self, Scope, Unusual};
use super::stamp::Stamp;
use super::thread::Token;
use super::turn::PROBE;
use super::witness;
use crate::capture::{self, Capture};
use crate::host::Job;
use crate::origin;

/// Polls a future with a frame of its own, which is what `head` knows and is called `name`: as a task, or
/// as a frame of the one in whose poll this is.
///
/// Returns `Ready` only if the body has, which is polled once at most.
#[inline(always)]
pub(super) fn enter(
    head: &Head,
    name: NameRef<'_>,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    match Local::get() {
        Some(local) => enter_on(local, head, name, body, cx),
        None => body.poll(cx),
    }
}

/// [`enter`] on the thread that has this.
///
/// It is asked for by the caller: here that would be a function call, around which all arguments have to be
/// saved. And the functions that this one jumps to save what they need.
#[inline(never)]
fn enter_on(
    local: &Local,
    head: &Head,
    name: NameRef<'_>,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if local.is_in_task() {
        // SAFETY: a task is being polled on this thread: `is_in_task` has just said so.
        return unsafe { enter_frame(local, head, name, body, cx) };
    }
    // SAFETY: the caller polls the future, and the task finishes at the end of this.
    if let Some(poller) = unsafe { head.link().poller() } {
        return enter_root(local, head, poller, body, cx);
    }
    enter_first_root(local, head, name, body, cx)
}

/// [`enter`] in a poll of a task.
///
/// This function and those of like names are the marks at which walks end. Not inlined, so that nothing of
/// the user's is in them, because they are not part of the walk. All that is not done in each poll is in
/// functions of its own, so that these have few registers to save.
///
/// # Safety
///
/// A task is being polled on this thread.
#[inline(never)]
unsafe fn enter_frame(
    local: &Local,
    head: &Head,
    name: NameRef<'_>,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    // SAFETY: as asserted by the caller.
    let scope = unsafe { Scope::frame(local, head, name, cx.waker()) };
    if head.link().is_task() || !local.needs_nothing() {
        // SAFETY: as asserted by the caller, a task is being polled on this thread.
        return unsafe { enter_unusual_frame(local, head, name, body, cx) };
    }
    let result = scope.enter(local, || body.poll(cx));
    // SAFETY: it is the scope of a frame.
    let head = unsafe { scope.head_unchecked() };
    head.leave(local, &scope, result)
}

/// [`enter_frame`], if it may be in a capture, or a task of its own.
///
/// # Safety
///
/// As of that.
#[cold]
#[inline(never)]
unsafe fn enter_unusual_frame(
    local: &Local,
    head: &Head,
    name: NameRef<'_>,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    // Whoever has a handle to it as a task keeps it as one, wherever it is polled.
    if head.link().is_task() {
        return poll(head.link(), false, body, cx);
    }
    // SAFETY: as asserted by the caller.
    let scope = unsafe { Scope::frame(local, head, name, cx.waker()) };
    let capture = scope.capture();
    let result = scope.enter(local, || match capture {
        None => body.poll(cx),
        Some(_) if foreign::is_demanded(cx.waker()) => body.poll(cx),
        Some(capture) => capture.watch(cx, |cx| body.poll(cx)),
    });
    head.leave(local, &scope, result)
}

/// [`enter`] outside of any task, of a future that is none.
#[inline(never)]
fn enter_first_root(
    local: &Local,
    head: &Head,
    name: NameRef<'_>,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    // Nobody has known of it for long. Who asks is woken for at the end of the poll.
    match head.make_task(local, name) {
        Some(poller) => {
            poller.note_poll();
            run(local, head.link(), poller, cx.waker(), false, body, cx)
        }
        None => body.poll(cx),
    }
}

/// Polls a future that has been a task from the beginning, outside of any other.
///
/// Returns `Ready` only if the body has, which is polled once at most.
#[inline(always)]
pub(super) fn enter_task(root: &impl Root, body: &mut dyn Body, cx: &mut Context<'_>) -> Poll<()> {
    // SAFETY: the caller polls the future, and the task finishes at the end of this.
    match (Local::get(), unsafe { root.link().poller() }) {
        (Some(local), Some(poller)) => enter_root(local, root, poller, body, cx),
        _ => body.poll(cx),
    }
}

/// Polls the task of this record, outside of any other.
#[inline(never)]
fn enter_root(
    local: &Local,
    root: &impl Root,
    poller: Poller<'_>,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let waker = cx.waker();
    match poller.usual_poll(local.usual.get(), waker) {
        Some(stamp) => {
            poller.note_poll_of(stamp);
            run(local, root.link(), poller, waker, true, body, cx)
        }
        None => enter_unusual_root(local, root, poller, body, cx),
    }
}

/// [`enter_root`], if the poll is not like the last.
#[inline(never)]
fn enter_unusual_root(
    local: &Local,
    root: &impl Root,
    poller: Poller<'_>,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    // If the last poll was in one of another task, then this is not like it.
    root.leave_outer();
    let link = root.link();
    if !prepare(poller, cx.waker()) {
        return poll(link, false, body, cx);
    }
    poller.note_poll();
    let (waker, has_waker) = (cx.waker(), poller.has_waker());
    run(local, link, poller, waker, has_waker, body, cx)
}

/// Polls the body of a task, outside of any other, in a poll that has been noted, and of which there is nothing
/// to be said. `has_waker`: there is one to wake the task with, because it is not the first.
#[inline(always)]
fn run(
    local: &Local,
    link: &Link,
    poller: Poller<'_>,
    waker: &Waker,
    has_waker: bool,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let scope = Scope::outermost(link, poller, waker);
    let on_panic = OnPanic(scope.polled());
    let result = scope.enter(local, || body.poll(cx));
    on_panic.disarm();
    // All from the scope again, so that no registers have to be saved for it.
    if result.is_pending() {
        let poller = *scope.polled();
        poller.note_settled();
        if !has_waker {
            end_first_poll(poller, scope.waker());
        }
    } else {
        // SAFETY: it is an outermost scope, so it has the link of the future that this polls. Its poller is not used any
        // more.
        unsafe { finish(scope.link_unchecked()) };
    }
    result
}

/// Makes a poll of a task, which is outside of any other and not like the last, one in which there is
/// nothing to be said of it. Whether that is so.
#[cold]
#[inline(never)]
fn prepare(poller: Poller<'_>, waker: &Waker) -> bool {
    let on_panic = OnPanic(&poller);
    poller.note_job(Job::current);
    let waker = capture::real(waker);
    let is_asked = poller.exchange().prepare_poll(waker, thread(), false);
    poller.frames().take_off_gone();
    on_panic.disarm();
    !is_asked
}

/// The number of this thread. 0 if it is being taken down.
fn thread() -> u32 {
    Token::current().map_or(0, |token| token.0)
}

/// The first poll of a task has left it suspended.
#[cold]
#[inline(never)]
fn end_first_poll(poller: Poller<'_>, waker: &Waker) {
    // A waker is somebody else's code.
    let on_panic = OnPanic(&poller);
    let waker = capture::real(waker);
    poller.exchange().end_first_poll(waker, false);
    on_panic.disarm();
    witness::note(poller.record());
}

/// Polls the body of a task, whatever there is to be said of the poll. `is_also_frame`: it is polled as a
/// frame of another task at the same time.
#[cold]
#[inline(never)]
pub(super) fn poll(
    link: &Link,
    is_also_frame: bool,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    // SAFETY: the caller polls the future, and the task finishes at the end of this.
    let Some(poller) = (unsafe { link.poller() }) else {
        return body.poll(cx);
    };
    let polled = attend(poller, is_also_frame, body, cx);
    if polled.is_ready() {
        // SAFETY: the caller polls the future, and the poller is not used any more.
        unsafe { finish(link) };
    }
    polled
}

fn attend(
    poller: Poller<'_>,
    is_also_frame: bool,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let on_panic = OnPanic(&poller);
    let is_nested = scope::is_in_task();
    if !is_also_frame {
        poller.note_job(Job::current);
    }
    let is_first = !poller.has_waker();
    let waker = capture::real(cx.waker());
    let mut request = poller.exchange().begin_poll(waker, thread(), is_nested);
    if request == Request::Capture {
        let refused = match foreign::is_demanded(waker) {
            true => Some(End::OwnWakers),
            false => (!capture::has_room()).then_some(End::NoRoom),
        };
        if let Some(reason) = refused {
            poller.exchange().refuse(reason);
            request = Request::Probe;
        }
    }
    poller.frames().take_off_gone();
    let (before, frames_before) = (poller.stamp(), poller.frames().version());
    poller.note_poll();
    // What is polled by a task whose poll was asked for is polled for that, unless it was woken.
    let is_asked = request != Request::None || is_nested && scope::is_asked(cx.waker());
    let asked = is_asked.then(|| Asked::new(poller, before, frames_before));
    let not_own = asked.as_ref().map(|_| NotOwnPoll::count(poller));
    let unusual = Unusual::new(is_also_frame, is_asked);
    let mut has_woken = false;
    let (result, captured) = match request {
        Request::None | Request::Probe => {
            let result = enter_unusual(poller, &unusual, cx, |scope, cx| {
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
            let (result, raw) = enter_unusual(poller, &unusual, cx, |scope, cx| {
                let capture = Capture::new(scope.mark(), scope::surroundings);
                let poll = || capture.as_ref().poll(cx, |cx| body.poll(cx));
                let result = scope.enter_capture(&capture, poll);
                (result, capture.finish_with_room())
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
            let waker = capture::real(cx.waker());
            poller.exchange().end_first_poll(waker, captured.is_some());
        }
        if is_first || captured.is_some() {
            witness::note(poller.record());
        }
        match captured {
            Some(Some(draft)) => poller
                .exchange()
                .answer(live::complete(poller.record(), draft)),
            Some(None) => poller.exchange().refuse(End::NoRoom),
            None => {}
        }
    }
    on_panic.disarm();
    result
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
            times: origin::any_limits().then(|| poller.frames().times()),
        }
    }

    /// Whether the task has not gone on in this poll, as far as can be seen: then it is taken to
    /// have been waiting all along.
    fn was_for_nothing_else(&self, poller: Poller<'_>) -> bool {
        poller.frames().version() == self.version && poller.polls() > 1
    }
}

/// Has the frames polled that only are when their own waker was woken: the combinators that made
/// these wakers are about to be polled. Returns `true` if there are any.
///
/// A panic of a waker does not end the task. The panic hook has reported it.
fn wake_children(poller: Poller<'_>) -> bool {
    let wakers = poller.frames().wakers();
    let any = !wakers.is_empty();
    for waker in wakers {
        foreign::wake(waker);
    }
    any
}

/// Answers whoever has asked, when a poll panics: the future, or a waker that it was handed. Has where the poller
/// is told.
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
    poller.exchange().panicked();
    poller.note_settled();
    ended::note_panic(poller.record());
}

/// Calls `run` in the scope of a task. A mark, as [`enter`] is.
#[inline(never)]
fn enter_unusual<R>(
    poller: Poller<'_>,
    unusual: &Unusual,
    cx: &mut Context<'_>,
    run: impl FnOnce(&Scope<'_>, &mut Context<'_>) -> R,
) -> R {
    let scope = Scope::task(poller, cx.waker(), unusual);
    match Local::get() {
        Some(local) => scope.enter(local, || run(&scope, cx)),
        None => run(&scope, cx),
    }
}
