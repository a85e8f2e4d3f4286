//! The waker that a task is handed while it is captured.
//!
//! It stands in for the real waker during one poll: its data pointer is to a value on the stack of
//! that poll, and its `clone` returns a clone of the **real** waker. So a leaf future that keeps
//! what it cloned keeps the real waker, and nothing can outlive the poll but real wakers.

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use super::stack::LeafKind;
use super::{CaptureRef, Mark, context, this_thread};

/// What the data pointer of a recording waker points to.
struct Recording<'a> {
    real: &'a Waker,
    capture: CaptureRef,
    /// Identifies the thread that polls. Other threads can get hold of a `&Waker`, for example
    /// through a scoped thread, but they have no stack that leads to the task.
    thread: usize,
    /// Wakers cloned on other threads.
    elsewhere: AtomicUsize,
}

impl Recording<'_> {
    /// `recording` is the mark of the function of the table that calls this.
    fn leaf(&self, kind: LeafKind, recording: Mark) {
        if self.thread == this_thread() {
            // Should there be a fault of ours in it, then a leaf is missing, and the task goes on.
            let _ = catch_unwind(AssertUnwindSafe(|| self.capture.leaf(kind, recording)));
        } else {
            self.elsewhere.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One table for all recording wakers: its address is how they are recognised.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);

#[inline]
fn recording(waker: &Waker) -> Option<&Recording<'_>> {
    // SAFETY: only `with` makes wakers with this table, and their data pointer is to a `Recording`
    // that outlives them: they are never owned by anyone but `with`, and a `&Waker` borrows it.
    std::ptr::eq(waker.vtable(), &raw const VTABLE)
        .then(|| unsafe { &*waker.data().cast::<Recording<'_>>() })
}

/// The waker behind `waker`, which is `waker` itself except in a capture.
#[inline]
pub(crate) fn real(waker: &Waker) -> &Waker {
    recording(waker).map_or(waker, |recording| recording.real)
}

/// Whether `waker` records for `capture`.
#[inline]
pub(super) fn records_for(waker: &Waker, capture: CaptureRef) -> bool {
    recording(waker).is_some_and(|recording| recording.capture == capture)
}

/// How many clones of it other threads have made.
#[inline]
pub(super) fn elsewhere(waker: &Waker) -> usize {
    let recording = recording(waker);
    recording.map_or(0, |recording| recording.elsewhere.load(Ordering::Relaxed))
}

/// Calls `poll` with a context whose waker stands for that of `cx` and records for `capture`.
pub(super) fn with<T>(
    capture: CaptureRef,
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    let recording = Recording {
        real: real(cx.waker()),
        capture,
        thread: this_thread(),
        elsewhere: AtomicUsize::new(0),
    };
    let data = std::ptr::from_ref(&recording).cast();
    // SAFETY: the functions of the table uphold the contract of `RawWaker`; `clone` and
    // `wake_by_ref` may be called from any thread while `recording` lives, which is longer than
    // the waker, and they touch only what is shared between threads unless they run on the thread
    // of the capture. The waker is not dropped; that would do nothing.
    let waker = ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(data, &VTABLE)) });
    let result = context::with_waker(cx, &waker, poll);
    match recording.elsewhere.into_inner() {
        0 => {}
        elsewhere => capture.note_elsewhere(elsewhere),
    }
    result
}

/// Clones a waker for a future of this crate that waits as `kind` says.
///
/// So the stack is known as such, whatever the functions on it are called.
#[inline(never)]
pub(crate) fn register(waker: &Waker, kind: LeafKind) -> Waker {
    if let Some(recording) = recording(waker) {
        recording.leaf(kind, Mark::here());
    }
    real(waker).clone()
}

/// The functions that record a stack, each a function of its own.
pub(super) fn starts() -> [*const (); 3] {
    [
        clone as *const (),
        wake_by_ref as *const (),
        register as *const (),
    ]
}

/// # Safety
///
/// `data` is the data pointer of a recording waker.
#[inline(never)]
unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the caller asserts that `data` is that of a recording waker. `with` made it of a `Recording` that lives until
    // the poll has ended, which a call through its waker does not outlive.
    let recording = unsafe { &*data.cast::<Recording<'_>>() };
    recording.leaf(LeafKind::Registered, Mark::here());
    let waker = ManuallyDrop::new(recording.real.clone());
    RawWaker::new(waker.data(), waker.vtable())
}

/// # Safety
///
/// `data` is the data pointer of a recording waker.
#[inline(never)]
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the caller asserts that `data` is that of a recording waker. `with` made it of a `Recording` that lives until
    // the poll has ended, which a call through its waker does not outlive.
    let recording = unsafe { &*data.cast::<Recording<'_>>() };
    recording.leaf(LeafKind::Woken, Mark::here());
    recording.real.wake_by_ref();
}

/// Nobody owns a recording waker, so this is not called by sound code. If it is, it does no harm.
///
/// # Safety
///
/// `data` is the data pointer of a recording waker.
unsafe fn wake(data: *const ()) {
    // SAFETY: the caller asserts that `data` is that of a recording waker, which is all that `wake_by_ref` demands.
    unsafe { wake_by_ref(data) }
}

/// A recording waker owns nothing.
unsafe fn drop(_data: *const ()) {}
