//! One poll of a task.

use std::cell::OnceCell;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::body::Body;
use super::clock::Moment;
use super::exchange::Request;
use super::frame::Head;
use super::frames::{Copied, Key, Peek, Times};
use super::link::Link;
use super::local::Local;
use super::name::NameRef;
use super::record::Record;
use super::scope::{self, Scope, Unusual};
use super::stamp::Stamp;
use super::thread::Token;
use crate::capture::{self, Alive, Capture, FEW, Live, Marker, Now, RawTrace};
use crate::host::Job;
use crate::origin::{self, FrameMeta, Identity, Origin};

/// Polls a future with a frame of its own, which is what `head` knows and is called `name`: as a task, or
/// as a frame of the one in whose poll this is.
///
/// Returns `Ready` only if the body has, which is polled once at most.
#[inline(always)]
pub(super) fn enter(
    head: &Head,
    name: NameRef,
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
    name: NameRef,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if local.is_in_task() {
        // SAFETY: it is so.
        return unsafe { enter_frame(local, head, name, body, cx) };
    }
    if head.link().is_task() {
        // SAFETY: it is one.
        let record = unsafe { head.link().task_unchecked() };
        return enter_root(local, head.link(), record, body, cx);
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
    name: NameRef,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    // SAFETY: as asserted by the caller.
    let scope = unsafe { Scope::frame(local, head, name, cx.waker()) };
    if head.link().is_task() || !local.needs_nothing() {
        // SAFETY: likewise.
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
    name: NameRef,
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
        Some(capture) => capture.watch(cx, |cx| body.poll(cx)),
    });
    head.leave(local, &scope, result)
}

/// [`enter`] outside of any task, of a future that is none.
#[inline(never)]
fn enter_first_root(
    local: &Local,
    head: &Head,
    name: NameRef,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    // Nobody has known of it for long. Who asks is woken for at the end of the poll.
    match head.link().make(local, head, name) {
        Some(record) => {
            record.note_poll();
            run(local, head.link(), record, false, body, cx)
        }
        None => body.poll(cx),
    }
}

/// Polls a future that has been a task from the beginning, outside of any other.
///
/// Returns `Ready` only if the body has, which is polled once at most.
#[inline(always)]
pub(super) fn enter_task(link: &Link, body: &mut dyn Body, cx: &mut Context<'_>) -> Poll<()> {
    match (Local::get(), link.task()) {
        (Some(local), Some(record)) => enter_root(local, link, record, body, cx),
        _ => body.poll(cx),
    }
}

/// Polls the task of this record, outside of any other.
#[inline(never)]
fn enter_root(
    local: &Local,
    link: &Link,
    record: &Record,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    // SAFETY: whoever has the link of a task is its poller.
    match unsafe { record.usual_poll(local.usual.get(), cx.waker()) } {
        Some(stamp) => {
            record.note_poll_of(stamp);
            run(local, link, record, true, body, cx)
        }
        None => enter_unusual_root(local, link, record, body, cx),
    }
}

/// [`enter_root`], if the poll is not like the last.
#[inline(never)]
fn enter_unusual_root(
    local: &Local,
    link: &Link,
    record: &Record,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if !prepare(record, cx.waker()) {
        return poll(link, false, body, cx);
    }
    record.note_poll();
    run(local, link, record, record.has_waker(), body, cx)
}

/// Polls the body of a task, outside of any other, in a poll that has been noted, and of which there is nothing
/// to be said. `has_waker`: there is one to wake the task with, because it is not the first.
#[inline(always)]
fn run(
    local: &Local,
    link: &Link,
    record: &Record,
    has_waker: bool,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let scope = Scope::outermost(record, cx.waker());
    let on_panic = OnPanic(scope.polled());
    let result = scope.enter(local, || body.poll(cx));
    on_panic.disarm();
    if result.is_pending() {
        // From the scope again, so that no register has to be saved for it. So is the waker.
        let record = *scope.polled();
        record.note_settled();
        if !has_waker {
            end_first_poll(record, scope.waker());
        }
    } else {
        link.finish();
    }
    result
}

/// Makes a poll of a task, which is outside of any other and not like the last, one in which there is
/// nothing to be said of it. Whether that is so.
///
/// The caller is the poller.
#[cold]
#[inline(never)]
fn prepare(record: &Record, waker: &Waker) -> bool {
    let on_panic = OnPanic(&record);
    record.note_job(Job::current);
    // SAFETY: the caller is the poller.
    let is_asked = unsafe {
        record
            .exchange()
            .prepare_poll(capture::real(waker), thread(), false)
    };
    // SAFETY: likewise.
    unsafe { record.frames().take_off_gone() };
    on_panic.disarm();
    !is_asked
}

/// The number of this thread. 0 if it is being taken down.
fn thread() -> u32 {
    Token::current().map_or(0, |token| token.0)
}

/// The first poll of a task has left it suspended.
///
/// The caller is the poller.
#[cold]
#[inline(never)]
fn end_first_poll(record: &Record, waker: &Waker) {
    debug_assert!(!record.has_waker());
    // A waker is somebody else's code.
    let on_panic = OnPanic(&record);
    // SAFETY: the caller is the poller.
    unsafe {
        record
            .exchange()
            .end_first_poll(capture::real(waker), false);
    }
    on_panic.disarm();
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
    let Some(record) = link.task() else {
        return body.poll(cx);
    };
    let polled = attend(record, is_also_frame, body, cx);
    if polled.is_ready() {
        link.finish();
    }
    polled
}

/// The caller is the poller.
fn attend(
    record: &Record,
    is_also_frame: bool,
    body: &mut dyn Body,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let on_panic = OnPanic(&record);
    let is_nested = scope::is_in_task();
    if !is_also_frame {
        record.note_job(Job::current);
    }
    let is_first = !record.has_waker();
    let waker = capture::real(cx.waker());
    // SAFETY: the caller is the poller.
    let request = unsafe { record.exchange().begin_poll(waker, thread(), is_nested) };
    // SAFETY: likewise.
    unsafe { record.frames().take_off_gone() };
    let (before, frames_before) = (record.stamp(), record.frames().version());
    record.note_poll();
    // What is polled by a task whose poll was asked for is polled for that, unless it was woken.
    let is_asked = request != Request::None || is_nested && scope::is_asked(cx.waker());
    let asked = is_asked.then(|| Asked::new(record, before, frames_before));
    let unusual = Unusual::new(is_also_frame, is_asked);
    let (result, captured) = match request {
        Request::None | Request::Probe => {
            let result = enter_unusual(record, &unusual, cx, |scope, cx| {
                match scope.capture() {
                    None => body.poll(cx),
                    // That of a task around this one.
                    Some(capture) => capture.poll(cx, |cx| body.poll(cx)),
                }
            });
            (result, None)
        }
        Request::Capture => {
            wake_children(record);
            record.beside.prefetch();
            let (result, raw) = enter_unusual(record, &unusual, cx, |scope, cx| {
                let capture = Capture::new(scope.mark(), scope::surroundings);
                let poll = || capture.as_ref().poll(cx, |cx| body.poll(cx));
                let result = scope.enter_capture(&capture, poll);
                (result, capture.finish())
            });
            (result, Some(raw))
        }
    };
    if result.is_pending() {
        // Before the answer is given: whoever has it finds the task as it left it.
        match asked {
            Some(asked) if asked.was_for_nothing_else(record) => {
                record.note_settled_idle(asked.stamp, asked.times.as_ref());
            }
            _ => record.note_settled(),
        }
        if is_first {
            let waker = capture::real(cx.waker());
            // SAFETY: the caller is the poller.
            unsafe { record.exchange().end_first_poll(waker, captured.is_some()) };
        }
        if let Some(draft) = captured {
            let task = marker(record);
            let known = peek(record, Moment::now(), |live| {
                draft.complete_as_known(&task, live)
            });
            let raw = known.unwrap_or_else(|| draft.complete(&task, &live(record)));
            record.exchange().answer(raw);
        }
    }
    on_panic.disarm();
    result
}

/// How a task was before a poll that somebody has asked for.
struct Asked {
    stamp: Stamp,
    version: u32,
    /// When the frames were last polled. Nobody wants to know unless there are limits.
    times: Option<Times>,
}

impl Asked {
    fn new(record: &Record, stamp: Stamp, version: u32) -> Self {
        Self {
            stamp,
            version,
            times: origin::any_limits().then(|| record.frames().times()),
        }
    }

    /// Whether the task has not gone on in this poll, as far as can be seen: then it is taken to
    /// have been waiting all along.
    fn was_for_nothing_else(&self, record: &Record) -> bool {
        record.frames().version() == self.version && record.polls() > 1
    }
}

/// Has the frames polled that only are when their own waker was woken: the combinators that made
/// these wakers are about to be polled.
fn wake_children(record: &Record) {
    // SAFETY: the caller is the poller.
    for waker in unsafe { record.frames().wakers() } {
        waker.wake();
    }
}

/// Answers whoever has asked, when a poll panics: the future, or a waker that it was handed. Has where the record
/// is told.
struct OnPanic<'a>(&'a &'a Record);

impl OnPanic<'_> {
    fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for OnPanic<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.note_panic();
    }
}

/// Calls `run` in the scope of a task. A mark, as [`enter`] is.
#[inline(never)]
fn enter_unusual<R>(
    record: &Record,
    unusual: &Unusual,
    cx: &mut Context<'_>,
    run: impl FnOnce(&Scope<'_>, &mut Context<'_>) -> R,
) -> R {
    let scope = Scope::task(record, cx.waker(), unusual);
    match Local::get() {
        Some(local) => scope.enter(local, || run(&scope, cx)),
        None => run(&scope, cx),
    }
}

/// Whether the task of `record` is being polled on this thread.
pub(super) fn is_inside(record: &Record) -> bool {
    let found = Scope::with_current(|scope| {
        let mut tasks = scope.outwards().filter(|scope| scope.is_task());
        let is_it = |task: &Scope<'_>| task.record().is_some_and(|it| std::ptr::eq(it, record));
        tasks.any(is_it).then_some(())
    });
    found.is_some()
}

/// The live frames of a task, without asking it.
pub(super) fn live(record: &Record) -> Vec<Live> {
    // Read before the frames are, which may be of a later poll: one that has not ended yet will
    // come to what it has not polled.
    let settled = record.settled();
    let now = OnceCell::new();
    let now = || *now.get_or_init(Moment::now);
    let of = |frame: Copied| {
        let live = Live {
            key: frame.key.to_bits(),
            parent: frame.parent.to_bits(),
            age: frame.since.until(now()),
            not_polled_for: is_held(frame.stamp, frame.own_waker, settled)
                .then(|| frame.stamp.tick().until(now())),
            identity: frame.identity.now(),
        };
        // A task that is not polled for is not awaited. It does not need to be: unlike other futures
        // that are held, it is driven by its executor.
        let is_wait = matches!(live.identity.origin(), Origin::Wait { .. });
        (!is_wait || live.not_polled_for.is_none()).then_some(live)
    };
    let live = record.frames().copy_as(of);
    live.unwrap_or_else(|| vec![unread()])
}

/// Says that there are frames, but that nobody could read them.
fn unread() -> Live {
    static UNREAD: FrameMeta = FrameMeta::new(
        None,
        || "(its frames were changing all the time: ask again)::",
        file!(),
        line!(),
        column!(),
    );
    Live {
        key: u64::MAX,
        parent: Key::TASK.to_bits(),
        identity: Identity::Static(&UNREAD),
        age: Duration::ZERO,
        not_polled_for: None,
    }
}

/// Where a task is, without asking it.
pub(super) fn snapshot(record: &Record, now: Moment) -> RawTrace {
    // The frames that the caller is in may not have been suspended yet.
    if is_inside(record) {
        scope::surroundings(&mut Vec::new());
    }
    let task = marker(record);
    let known = peek(record, now, |live| RawTrace::snapshot_as_known(&task, live));
    known.unwrap_or_else(|| RawTrace::snapshot(&task, &live(record)))
}

/// Calls `look` with the live frames of a task, of which only that is copied which the table says. `None` if
/// there is more to them, or if they have changed meanwhile.
#[inline]
fn peek<R>(record: &Record, now: Moment, look: impl FnOnce(&LiveSlots) -> Option<R>) -> Option<R> {
    // In this order, as in `live`.
    let settled = record.settled();
    let slots = record
        .frames()
        .peek(|slots| LiveSlots::copy(slots, settled, now));
    look(&slots.flatten()?)
}

/// The live frames of a task, as the table has them.
struct LiveSlots {
    count: usize,
    keys: [u64; FEW],
    parents: [u64; FEW],
    metas: [*const FrameMeta; FEW],
    since: [u32; FEW],
    polled: [u32; FEW],
    is_held: [bool; FEW],
    now: Now,
}

impl LiveSlots {
    /// `None` if they are not few, or if there is more to them.
    #[inline]
    fn copy<T>(slots: Peek<'_, T>, settled: u32, now: Moment) -> Option<Self> {
        let count = slots.len();
        if count > FEW {
            return None;
        }
        let mut copy = Self {
            count,
            keys: [0; FEW],
            parents: [0; FEW],
            metas: [std::ptr::null(); FEW],
            since: [0; FEW],
            polled: [0; FEW],
            is_held: [false; FEW],
            now: now.of_steps(),
        };
        let is_complete = slots.each(|at, frame| {
            copy.keys[at] = frame.key.to_bits();
            copy.parents[at] = frame.parent.to_bits();
            copy.metas[at] = frame.meta;
            copy.since[at] = frame.since.0;
            copy.polled[at] = frame.stamp.tick().0;
            copy.is_held[at] = is_held(frame.stamp, frame.own_waker, settled);
        });
        is_complete.then_some(copy)
    }
}

/// Whether a frame should have been polled, and was not.
///
/// The last poll that has ended was everywhere where it was going to.
/// What has a waker of its own is polled when that is woken, not in each poll.
#[inline]
fn is_held(stamp: Stamp, own_waker: bool, settled: u32) -> bool {
    stamp.is_before(settled) && !own_waker
}

impl Alive for LiveSlots {
    #[inline]
    fn count(&self) -> usize {
        self.count
    }

    #[inline]
    fn key(&self, at: usize) -> u64 {
        self.keys[at]
    }

    #[inline]
    fn parent(&self, at: usize) -> u64 {
        self.parents[at]
    }

    #[inline]
    fn is(&self, at: usize, identity: &Identity) -> bool {
        matches!(identity, Identity::Static(meta) if std::ptr::eq(self.metas[at], *meta))
    }

    #[inline]
    fn is_held(&self, at: usize) -> bool {
        self.is_held[at]
    }

    #[inline]
    fn kind(&self) -> usize {
        let last = self.count.checked_sub(1);
        last.map_or(0, |last| self.metas[last].addr())
    }

    #[inline]
    fn now(&self) -> Option<Now> {
        Some(self.now)
    }

    #[inline]
    fn since(&self, at: usize) -> u32 {
        self.since[at]
    }

    #[inline]
    fn polled(&self, at: usize) -> u32 {
        self.polled[at]
    }

    // These are for who has no steps.

    fn age(&self, _: usize) -> u64 {
        0
    }

    fn not_polled_for(&self, _: usize) -> u64 {
        0
    }
}

/// The task itself.
pub(super) fn marker(record: &Record) -> Marker {
    Marker {
        task: record.id().get(),
        key: Some(Key::TASK.to_bits()),
        identity: record.identity(),
        own_waker: false,
    }
}
