//! Records the stacks on which the wakers of a task are cloned.
//!
//! * [`waker`]: the waker that a task is polled with during a capture; [`context`]: the other parts of a [`Context`].
//! * [`stack_walk`]: walks the stacks of a capture; [`recording`]: collects the stacks; [`stack`]: one stack.
//! * [`interner`]: finds equal captures; [`raw_trace`]: the interned capture that equal captures share, with the times
//!   of one capture.
//! * [`sample`]: captures the stack of a thread by interrupting it.
//! * [`snapshot`]: plain data that goes with the stacks: the live frames, and the active scopes around a leaf.
//!
//! A capture consists of addresses: this module knows neither symbols nor text. It does not know tasks either: a
//! callback lists the active scopes around a leaf.
//!
//! # Caches
//!
//! | cache | key | saves | limit | evicted |
//! |---|---|---|---|---|
//! | unwind rules (`unwind`) | address of a call | reading the unwind tables | 4,096 in each walker | when a library is loaded or unloaded, or by newer rules |
//! | call paths (`unwind`) | start and end of a walk, the words that it reads, the marks that it passes | the walk, and building its call path | 256 in each walker, of 128 frames | as the rules |
//! | interned captures ([`interner`]) | call paths; functions and nesting of the task and its frames; equality of labels | allocations, symbol look-ups and a tree for each task | 256 in each thread, with 2¹⁸ steps, positions and words together | all of a thread at once, when the limit is reached or the thread ends |
//! | trees (`trace`) | interned capture | symbol look-ups and a tree for each task | two for each interned capture | with the last trace of the interned capture, or when paths are shortened differently |
//! | buffers | thread | allocations for each capture | 1,024 active scopes; 1,024 frames in the copy of a frame table; 1,024 frames in a snapshot; 1,024 stacks, markers and positions in a recording | when the thread ends |
//!
//! Up to 16 walkers are kept idle, and each running capture has one more. A capture is looked up once, by a key that
//! compares call paths by their hashes or addresses. All later caches are found through the interned capture. So while
//! a dump is printed, it keeps no cache of its own, except for the set of trees that it has already printed.

mod context;
mod interner;
mod raw_trace;
mod recording;
mod sample;
mod snapshot;
mod stack;
mod stack_walk;
mod waker;

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

pub(crate) use raw_trace::{InternedCapture, RawTrace};
pub(crate) use recording::Recording;
pub use sample::{NoSample, SampleSignalError, set_sample_signal};
pub(crate) use sample::{
    SampledScope, SampledScopes, StateAddress, SuspendedThread, install_handler_stack, sample,
};
pub(crate) use snapshot::{ActiveScope, ActiveScopes, FrameSnapshot, ScopeMarker, SnapshotTime};
pub(crate) use stack::{LeafKind, Stack, StackEntry};
pub(crate) use waker::{real, register};

use crate::os;
use crate::os::time::Instant;
use crate::sync::ReentrancyGuard;
use crate::unwind::{Mark, ReturnAddress, is_in_function, this_thread};
use stack_walk::{LostWalk, StackRecorder};

/// Appends the active scopes around the caller, innermost first.
type ReadActiveScopes = fn(&mut ActiveScopes);

/// One poll of one task, in which stacks are recorded.
///
/// A `Capture` lives on the stack of its poll. If tasks around that task are being captured too, their captures live
/// further up on the same stack.
pub(crate) struct Capture {
    mark: Mark,
    read_scopes: ReadActiveScopes,
    recorder: RefCell<StackRecorder>,
    /// The number of wakers that other threads have cloned.
    remote_clones: Cell<usize>,
    /// `true` if a leaf was not recorded because too little of the stack was left.
    lacked_stack: Cell<bool>,
}

/// A reference to a capture that may have ended.
///
/// Nested polls end in the reverse order of their beginnings, so a poll inside a capture usually ends before the
/// capture. But a coroutine can be suspended in the middle of a poll and continue after the outer poll has ended. So
/// each access looks for the capture among the active scopes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CaptureRef {
    capture: NonNull<Capture>,
    read_scopes: ReadActiveScopes,
}

impl PartialEq for CaptureRef {
    fn eq(&self, other: &Self) -> bool {
        self.capture == other.capture
    }
}

impl Capture {
    /// Creates a capture. `mark` is the mark of the function that polls the task.
    pub(crate) fn new(mark: Mark, read_scopes: ReadActiveScopes) -> Self {
        Self {
            mark,
            read_scopes,
            recorder: RefCell::new(StackRecorder::new()),
            remote_clones: Cell::new(0),
            lacked_stack: Cell::new(false),
        }
    }

    pub(crate) fn as_ref(&self) -> CaptureRef {
        CaptureRef {
            capture: NonNull::from(self),
            read_scopes: self.read_scopes,
        }
    }

    /// Returns the recorded stacks, or `None` if a leaf was not recorded because too little of the stack was left.
    pub(crate) fn finish(self) -> Option<Box<Recording>> {
        let mut recording = self.recorder.into_inner().finish();
        recording.remote_clones = self.remote_clones.into_inner();
        (!self.lacked_stack.get()).then_some(recording)
    }
}

/// The number of bytes that must be left of the stack for a capture. The first capture of a process, which includes the
/// first walk, was *measured* to need between 32 and 48 KiB in a debug build on x86_64. An optimised build needs less.
/// Both numbers here have a margin.
const REQUIRED_STACK: usize = if cfg!(debug_assertions) {
    96 << 10
} else {
    48 << 10
};

/// Returns `true` if the calling thread has enough stack left for a capture, or if the rest of its stack is unknown.
pub(crate) fn has_stack_room() -> bool {
    os::stack::room().is_none_or(|room| room >= REQUIRED_STACK)
}

/// The time that all threads have spent recording stacks while a [`RecordingMeter`] existed, in nanoseconds.
static SPENT: AtomicU64 = AtomicU64::new(0);

/// The number of [`RecordingMeter`]s. While it is 0, recording does not read the clock.
static METERS: AtomicUsize = AtomicUsize::new(0);

/// A meter that measures, while it exists, how much time captures cost the captured tasks: the time that all threads
/// spend recording stacks.
pub(crate) struct RecordingMeter(u64);

impl RecordingMeter {
    pub(crate) fn start() -> Self {
        METERS.fetch_add(1, Ordering::Relaxed);
        Self(SPENT.load(Ordering::Relaxed))
    }

    pub(crate) fn read(&self) -> Duration {
        Duration::from_nanos(SPENT.load(Ordering::Relaxed).saturating_sub(self.0))
    }
}

impl Drop for RecordingMeter {
    fn drop(&mut self) {
        METERS.fetch_sub(1, Ordering::Relaxed);
    }
}

thread_local! {
    /// The number of leaves that were seen on this thread, recorded or not.
    static LEAVES: Cell<usize> = const { Cell::new(0) };

    /// A buffer for the active scopes around a leaf, which is reused.
    static SCOPE_BUFFER: Cell<ActiveScopes> = const { Cell::new(Vec::new()) };
}

/// The largest capacity of a scope buffer that is kept.
const MAX_SCOPE_BUFFER: usize = 1 << 10;

fn take_scope_buffer() -> ActiveScopes {
    SCOPE_BUFFER.try_with(Cell::take).unwrap_or_default()
}

fn return_scope_buffer(mut buffer: ActiveScopes) {
    buffer.clear();
    if (1..=MAX_SCOPE_BUFFER).contains(&buffer.capacity()) {
        let _ = SCOPE_BUFFER.try_with(|place| place.set(buffer));
    }
}

fn count_leaf() {
    let _ = LEAVES.try_with(|leaves| leaves.set(leaves.get().wrapping_add(1)));
}

/// Counts the leaves on this thread, and the clones of the waker on other threads. The result changes with each leaf of
/// the current poll.
#[inline]
fn count_leaves(cx: &Context<'_>) -> (usize, usize) {
    let here = LEAVES.try_with(Cell::get).unwrap_or(0);
    (here, waker::remote_clones(cx.waker()))
}

impl CaptureRef {
    /// Calls `poll` with a waker that records for this capture.
    pub(crate) fn poll<T>(
        self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if waker::records_for(cx.waker(), self) {
            return poll(cx);
        }
        waker::with(self, cx, poll)
    }

    /// Polls a frame of the task.
    ///
    /// A frame that returns `Pending` without having registered a waker is recorded as such. If a combinator passes the
    /// frame a waker of its own instead of the task's, the frame is polled with a waker that stands in for that one and
    /// records as well.
    pub(crate) fn poll_frame<T>(
        self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.poll(cx, |cx| {
            let before = count_leaves(cx);
            let result = poll(cx);
            if result.is_pending() && count_leaves(cx) == before {
                self.record_leaf(LeafKind::NoWaker, Mark::here());
            }
            result
        })
    }

    /// Calls `run` with this capture and with each capture around it, innermost first, and passes the active scopes
    /// around the caller. Calls nothing if this capture has ended.
    fn for_each_capture(self, mut run: impl FnMut(&Capture, &ActiveScopes)) {
        let mut scopes = take_scope_buffer();
        (self.read_scopes)(&mut scopes);
        let captures = scopes.iter().filter_map(|scope| scope.capture);
        for capture in captures.skip_while(|capture| *capture != self) {
            // SAFETY: `read_scopes` has just filled `scopes` with the polls that this thread is in the middle of. A
            // capture lives on the stack of its poll (see `Capture`), and that poll cannot end while this thread runs
            // this function. So the capture is alive.
            run(unsafe { capture.capture.as_ref() }, &scopes);
        }
        return_scope_buffer(scopes);
    }

    /// Records the stack of the caller in this capture and in each capture around it. `recorder_mark` is the mark of
    /// the function at which the stacks end.
    #[inline(never)]
    fn record_leaf(self, kind: LeafKind, recorder_mark: Mark) {
        // Recording allocates: an allocator that calls this crate must see that this thread is inside it.
        let _inside = ReentrancyGuard::enter();
        let begun = (METERS.load(Ordering::Relaxed) > 0).then(Instant::now);
        count_leaf();
        if !has_stack_room() {
            self.note_lack_of_stack();
            return;
        }
        let mut lost = LostWalk::Recorded;
        self.for_each_capture(|capture, scopes| {
            // The recorder is borrowed only while it records, and recording calls no foreign code. If it is borrowed
            // nevertheless, a missing leaf is better than a panic.
            if let Ok(mut recorder) = capture.recorder.try_borrow_mut() {
                recorder.record(recorder_mark, capture.mark, kind, scopes, lost);
            }
            lost = LostWalk::LeftOut;
        });
        if let Some(begun) = begun {
            let nanos = begun.elapsed().as_nanos().try_into().unwrap_or(u64::MAX);
            SPENT.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    /// Notes that a leaf was not recorded because too little of the stack was left.
    fn note_lack_of_stack(self) {
        self.for_each_capture(|capture, _| capture.lacked_stack.set(true));
    }

    /// Adds the number of wakers that other threads have cloned.
    fn add_remote_clones(self, count: usize) {
        let _inside = ReentrancyGuard::enter();
        count_leaf();
        self.for_each_capture(|capture, _| {
            capture
                .remote_clones
                .set(capture.remote_clones.get() + count);
        });
    }
}

/// Returns `true` if `address` is a return address in one of the functions that record the stack of a task during its
/// poll. Such a function may be on the stack of a thread that was interrupted.
///
/// The function is recognised by its start address, as the unwind tables state it. The stack of an interrupted thread
/// is walked by the same tables.
pub(crate) fn is_recording(address: ReturnAddress) -> bool {
    let mut starts = waker::recording_functions()
        .into_iter()
        .chain([here as *const ()]);
    starts.any(|start| is_in_function(address, start.addr()))
}

/// Returns the stack from the caller up to the task at `mark`.
#[inline(never)]
pub(crate) fn here(mark: Mark, scopes: &ActiveScopes) -> RawTrace {
    let mut recorder = StackRecorder::new();
    let kind = LeafKind::Here;
    recorder.record(Mark::here(), mark, kind, scopes, LostWalk::Recorded);
    // The trace belongs to no task, and includes no live frames.
    recorder.finish().trace(0, &[], SnapshotTime(0))
}
