//! Implements the recording waker, with which a task is polled during a capture.
//!
//! A recording waker stands in for the real waker during one poll. Its data pointer points to a value on the stack of
//! that poll, and its `clone` returns a clone of the **real** waker. So a leaf future that keeps its clone keeps the
//! real waker, and no recording waker outlives the poll.

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use super::stack::LeafKind;
use super::{CaptureRef, Mark, context, this_thread};

/// The value that the data pointer of a recording waker points to.
struct RecordingWaker<'a> {
    real: &'a Waker,
    capture: CaptureRef,
    /// Identifies the polling thread. Other threads can get a `&Waker`, for example scoped threads, but their stacks do
    /// not lead to the task.
    thread: usize,
    /// The number of clones that were made on other threads.
    remote_clones: AtomicUsize,
}

impl RecordingWaker<'_> {
    /// Records a leaf. `recorder_mark` is the mark of the calling function, which is in the vtable or is [`register`].
    fn record_leaf(&self, kind: LeafKind, recorder_mark: Mark) {
        if self.thread == this_thread() {
            // If recording panics because of a bug in this crate, the leaf is missing and the task continues.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                self.capture.record_leaf(kind, recorder_mark);
            }));
        } else {
            self.remote_clones.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The vtable of all recording wakers, which are recognised by its address.
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);

/// Returns the data of a recording waker, or `None` for any other waker.
#[inline]
fn recording_waker(waker: &Waker) -> Option<&RecordingWaker<'_>> {
    // SAFETY: only `with` creates wakers with this vtable, so the data pointer points to the `RecordingWaker` in a call
    // of `with`. That call alone owns the waker and lends it for the poll, which ends before the `RecordingWaker` is
    // dropped. So the value is alive for as long as `waker` is borrowed.
    std::ptr::eq(waker.vtable(), &raw const VTABLE)
        .then(|| unsafe { &*waker.data().cast::<RecordingWaker<'_>>() })
}

/// Returns the real waker behind `waker`, which is `waker` itself unless it is a recording waker.
#[inline]
pub(crate) fn real(waker: &Waker) -> &Waker {
    recording_waker(waker).map_or(waker, |recording_waker| recording_waker.real)
}

/// Returns `true` if `waker` records for `capture`.
#[inline]
pub(super) fn records_for(waker: &Waker, capture: CaptureRef) -> bool {
    recording_waker(waker).is_some_and(|recording_waker| recording_waker.capture == capture)
}

/// Returns the number of clones of a recording waker that other threads have made.
#[inline]
pub(super) fn remote_clones(waker: &Waker) -> usize {
    let recording_waker = recording_waker(waker);
    recording_waker.map_or(0, |recording_waker| {
        recording_waker.remote_clones.load(Ordering::Relaxed)
    })
}

/// Calls `poll` with a context whose waker stands in for the waker of `cx` and records for `capture`.
pub(super) fn with<T>(
    capture: CaptureRef,
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    let recording_waker = RecordingWaker {
        real: real(cx.waker()),
        capture,
        thread: this_thread(),
        remote_clones: AtomicUsize::new(0),
    };
    let data = std::ptr::from_ref(&recording_waker).cast();
    // SAFETY: the functions of `VTABLE` uphold the contract of `RawWaker`. `clone` and `wake_by_ref` may be called from
    // any thread while `recording_waker` lives, and it is declared before the waker, so it outlives the waker. On a
    // thread other than the polling one, these functions access only the real waker and the atomic counter, which
    // threads may share (see `RecordingWaker::record_leaf`). The waker is not dropped, and `drop` would do nothing.
    let waker = ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(data, &VTABLE)) });
    let result = context::with_waker(cx, &waker, poll);
    match recording_waker.remote_clones.into_inner() {
        0 => {}
        count => capture.add_remote_clones(count),
    }
    result
}

/// Clones a waker for a future of this crate, and records the leaf with this kind. So the kind does not depend on the
/// names of the functions on the stack.
#[inline(never)]
pub(crate) fn register(waker: &Waker, kind: LeafKind) -> Waker {
    if let Some(recording_waker) = recording_waker(waker) {
        recording_waker.record_leaf(kind, Mark::here());
    }
    real(waker).clone()
}

/// Returns the start addresses of the functions that record a stack. None of them is ever inlined.
pub(super) fn recording_functions() -> [*const (); 3] {
    [
        clone as *const (),
        wake_by_ref as *const (),
        register as *const (),
    ]
}

/// Records a leaf and returns a clone of the real waker.
///
/// # Safety
///
/// `data` must be the data pointer of a recording waker, and the poll of the call of [`with`] that made this waker must
/// not have ended.
#[inline(never)]
unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the `# Safety` section says that `data` belongs to a recording waker, and that the poll of `with` that
    // made it has not ended. `with` made it from a `RecordingWaker` that lives until then.
    let recording_waker = unsafe { &*data.cast::<RecordingWaker<'_>>() };
    recording_waker.record_leaf(LeafKind::Registered, Mark::here());
    let waker = ManuallyDrop::new(recording_waker.real.clone());
    RawWaker::new(waker.data(), waker.vtable())
}

/// Records a leaf and wakes the real waker.
///
/// # Safety
///
/// `data` must be the data pointer of a recording waker, and the poll of the call of [`with`] that made this waker must
/// not have ended.
#[inline(never)]
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the `# Safety` section says that `data` belongs to a recording waker, and that the poll of `with` that
    // made it has not ended. `with` made it from a `RecordingWaker` that lives until then.
    let recording_waker = unsafe { &*data.cast::<RecordingWaker<'_>>() };
    recording_waker.record_leaf(LeafKind::Woken, Mark::here());
    recording_waker.real.wake_by_ref();
}

/// Does the same as [`wake_by_ref`]. Only `with` owns a recording waker, so sound code cannot call this. A call does no
/// harm.
///
/// # Safety
///
/// `data` must be the data pointer of a recording waker, and the poll of the call of [`with`] that made this waker must
/// not have ended.
unsafe fn wake(data: *const ()) {
    // SAFETY: the `# Safety` section of `wake_by_ref` is that of this function, and the caller upholds it.
    unsafe { wake_by_ref(data) }
}

/// Does nothing, because a recording waker owns nothing.
///
/// # Safety
///
/// None: any `data` is accepted. The vtable requires an `unsafe` function.
unsafe fn drop(_data: *const ()) {}
