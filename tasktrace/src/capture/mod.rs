//! Recording where wakers are cloned.
//!
//! * [`scope`]: which task and which frames are being polled on this thread.
//! * [`waker`]: the waker that a task is handed while it is captured.
//! * [`record`]: the buffer that the stacks go to.
//!
//! What is recorded is addresses: this module knows neither symbols nor text.

mod record;
mod scope;
mod waker;

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

pub(crate) use record::{Entry, LeafKind, RawTrace, Stack};
pub(crate) use scope::Scope;
pub(crate) use waker::real;

use crate::unwind::Mark;
use record::Recorder;

/// One poll of one task, in which stacks are recorded.
///
/// It lives on the stack of that poll, as do the captures of the tasks around it that are being
/// captured as well.
struct Capture<'a> {
    /// Identifies the thread that polls. Other threads can get hold of a `&Waker`, for example
    /// through a scoped thread, but they have no stack that leads to the task.
    thread: usize,
    mark: Mark,
    recorder: RefCell<Recorder>,
    /// Wakers cloned on other threads.
    elsewhere: AtomicUsize,
    /// The capture of the task that is polling this one.
    outer: Option<&'a Capture<'a>>,
}

/// Polls with a waker that records, and returns what it recorded.
///
/// `scope` is that of the task and must have been entered.
pub(crate) fn capture<T>(
    scope: &Scope<'_>,
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> (Poll<T>, RawTrace) {
    let mark = scope.mark();
    let capture = Capture {
        thread: this_thread(),
        mark,
        recorder: RefCell::new(Recorder::new()),
        elsewhere: AtomicUsize::new(0),
        outer: waker::capture_of(cx.waker()),
    };
    let result = waker::with(&capture, cx.waker(), |cx| poll(cx));
    if result.is_pending() {
        capture.note_silence(scope);
    }
    let mut trace = capture.recorder.into_inner().finish();
    trace.elsewhere = capture.elsewhere.into_inner();
    (result, trace)
}

/// Polls the body of a `#[traced]` function. In a capture, a body that waits without having
/// registered a waker is recorded as such.
pub(crate) fn watch_for_silence<T>(
    scope: &Scope<'_>,
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    let Some(capture) = waker::capture_of(cx.waker()) else {
        return poll(cx);
    };
    let before = capture.leaves();
    let result = poll(cx);
    if result.is_pending() && capture.leaves() == before {
        capture.leaf(LeafKind::NoWaker, Some(scope));
    }
    result
}

/// The stack from the caller up to the innermost task that is being polled on this thread.
#[inline(never)]
pub(crate) fn here() -> Option<RawTrace> {
    Scope::with_current(|scope| {
        let mut recorder = Recorder::new();
        let mark = scope.of_task().mark();
        recorder.walk(mark);
        recorder.record(mark, LeafKind::Here, Some(scope));
        Some(recorder.finish())
    })
}

impl Capture<'_> {
    /// Records the stack of the caller, in this capture and in those around it.
    #[inline(never)]
    fn leaf(&self, kind: LeafKind, scope: Option<&Scope<'_>>) {
        let captures = || std::iter::successors(Some(self), |capture| capture.outer);
        if self.thread != this_thread() {
            for capture in captures() {
                capture.elsewhere.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        let outermost = captures().last().unwrap_or(self).mark;
        // The recorder is in use only while it records, and recording calls nobody's code. Should
        // it be in use all the same, a missing leaf is better than a panic.
        let Ok(mut recorder) = self.recorder.try_borrow_mut() else {
            return;
        };
        recorder.walk(outermost);
        recorder.record(self.mark, kind, scope);
        for capture in captures().skip(1) {
            if let Ok(mut outer) = capture.recorder.try_borrow_mut() {
                outer.record_walked_by(&recorder, capture.mark, kind, scope);
            }
        }
    }

    /// How many leaves have been seen so far.
    fn leaves(&self) -> usize {
        let recorded = self
            .recorder
            .try_borrow()
            .map_or(0, |recorder| recorder.leaves());
        recorded + self.elsewhere.load(Ordering::Relaxed)
    }

    /// Records that the task waits for nothing, if it does.
    fn note_silence(&self, scope: &Scope<'_>) {
        if self.leaves() == 0
            && let Ok(mut recorder) = self.recorder.try_borrow_mut()
        {
            recorder.record_silent_task(scope);
        }
    }
}

/// An address that no other living thread has.
fn this_thread() -> usize {
    thread_local!(static MARKER: u8 = const { 0 });
    MARKER
        .try_with(|marker| std::ptr::from_ref(marker).addr())
        .unwrap_or(0)
}
