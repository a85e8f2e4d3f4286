//! Recording where wakers are cloned.
//!
//! * [`waker`]: the waker that a task is handed while it is captured; [`context`]: the other parts of a context.
//! * [`record`]: walks the stacks of a capture; [`recording`]: collects them; [`stack`]: one of them.
//! * [`intern`]: finds captures that are alike; [`interned`]: what they share, and the times that each has of its own.
//! * [`sample`]: the stack of a thread that is interrupted.
//! * [`live`]: plain data that goes with the stacks: the live frames, and the polls around a leaf.
//!
//! A capture consists of addresses: this module knows neither symbols nor text. Nor does it know tasks: it is told what
//! is being polled around a leaf.
//!
//! # What is kept from capture to capture
//!
//! | | by | saves | at most | forgotten |
//! |---|---|---|---|---|
//! | rules (`unwind`) | the address of a call | to read the unwind tables | 4,096 a walker | when a library is loaded or unloaded, or others take their places |
//! | ways (`unwind`) | where a walk begins and ends, the words that it reads, the marks that it passes | the walk, and to make a way of it | 256 a walker, of 128 frames | as rules |
//! | interned captures ([`intern`]) | the ways; which functions the task and its frames are, and how these are in each other; which labels are equal | to allocate for each task; to look up symbols and make a tree for each task | 256 a thread, of 2¹⁸ steps, positions and words together | all of a thread at once, when they are too many, or when the thread ends |
//! | trees (`trace`) | the interned capture | as above | two of each interned capture | with the last trace of it, or when paths are shortened in another way |
//! | buffers | the thread | to allocate for each capture | 1,024 polls around a leaf, 1,024 frames of a table, twice | when the thread ends |
//!
//! There are 16 walkers that wait, and as many more as there are captures at a time. A capture is looked up once, by a
//! key that compares ways by their hashes or addresses. Everything later is found through the interned capture. So a dump
//! keeps nothing of its own while it is printed, except which trees it has met.

mod context;
mod intern;
mod interned;
mod live;
mod record;
mod recording;
mod sample;
mod stack;
mod waker;

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

pub(crate) use interned::{Interned, RawTrace};
pub(crate) use live::{Around, Live, Marker, Now, Surroundings};
pub(crate) use recording::Recording;
pub use sample::{NoSample, SampleSignalError, set_sample_signal};
pub(crate) use sample::{Scopes, Seen, make_room, sample};
pub(crate) use stack::{Entry, LeafKind, Stack};
pub(crate) use waker::{real, register};

use crate::os;
use crate::sync::Inside;
use crate::unwind::{Mark, ReturnAddress, is_in_function, this_thread};
use record::{Lost, Recorder};

/// Adds what is being polled around the caller.
type Surround = fn(&mut Surroundings);

/// One poll of one task, in which stacks are recorded.
///
/// It lives on the stack of that poll, as do the captures of the tasks around it that are being
/// captured as well.
pub(crate) struct Capture {
    mark: Mark,
    surroundings: Surround,
    recorder: RefCell<Recorder>,
    /// Wakers cloned on other threads.
    elsewhere: Cell<usize>,
    /// A leaf was not recorded, because there was too little room on the stack.
    had_no_room: Cell<bool>,
}

/// Refers to a capture that may be over.
///
/// Polls end in the reverse order of their beginnings, so what is polled inside of a capture ends
/// before it does. But coroutines can be suspended in the middle of a poll, and go on after the one
/// around it has ended. So a capture is looked for among those that are going on, each time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CaptureRef {
    capture: NonNull<Capture>,
    surroundings: Surround,
}

impl PartialEq for CaptureRef {
    fn eq(&self, other: &Self) -> bool {
        self.capture == other.capture
    }
}

impl Capture {
    /// `mark` is of the function that polls the task.
    pub(crate) fn new(mark: Mark, surroundings: Surround) -> Self {
        Self {
            mark,
            surroundings,
            recorder: RefCell::new(Recorder::new()),
            elsewhere: Cell::new(0),
            had_no_room: Cell::new(false),
        }
    }

    pub(crate) fn as_ref(&self) -> CaptureRef {
        CaptureRef {
            capture: NonNull::from(self),
            surroundings: self.surroundings,
        }
    }

    /// Returns the stacks. Returns `None` if a leaf was not recorded because there was too little room on the stack.
    pub(crate) fn finish(self) -> Option<Box<Recording>> {
        let mut recording = self.recorder.into_inner().finish();
        recording.elsewhere = self.elsewhere.into_inner();
        (!self.had_no_room.get()).then_some(recording)
    }
}

/// The bytes of stack that a capture must find. With the first walk of a process it was *measured* to need between 32
/// and 48 KiB in a debug build on x86_64. An optimised build needs less, and has the larger of these.
const NEEDED: usize = if cfg!(debug_assertions) {
    96 << 10
} else {
    48 << 10
};

/// Returns `true` if the stack of the calling thread has room for a capture, or if that is not known.
pub(crate) fn has_room() -> bool {
    os::stack::room().is_none_or(|room| room >= NEEDED)
}

/// How long recording stacks has taken on all threads, in nanoseconds, while somebody measured it.
static SPENT: AtomicU64 = AtomicU64::new(0);

/// How many measure it. The clock is not read for nobody.
static METERS: AtomicUsize = AtomicUsize::new(0);

/// Measures what captures cost those who are asked, while it is there: how long recording stacks takes
/// on all threads.
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
    /// How many leaves have been recorded on this thread.
    static LEAVES: Cell<usize> = const { Cell::new(0) };

    /// Room for what is around a leaf.
    static ROOM: Cell<Surroundings> = const { Cell::new(Vec::new()) };
}

/// So much room is kept.
const MOST_ROOM: usize = 1 << 10;

fn take_room() -> Surroundings {
    ROOM.try_with(Cell::take).unwrap_or_default()
}

fn give_room(mut room: Surroundings) {
    room.clear();
    if (1..=MOST_ROOM).contains(&room.capacity()) {
        let _ = ROOM.try_with(|place| place.set(room));
    }
}

fn count_leaf() {
    let _ = LEAVES.try_with(|leaves| leaves.set(leaves.get().wrapping_add(1)));
}

/// How many leaves there have been: a number that changes with each that is seen in this poll.
#[inline]
fn leaves(cx: &Context<'_>) -> (usize, usize) {
    let here = LEAVES.try_with(Cell::get).unwrap_or(0);
    (here, waker::elsewhere(cx.waker()))
}

impl CaptureRef {
    /// Polls with a waker that records for this capture.
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
    /// A frame that waits without having registered a waker is recorded as such. One that is polled
    /// with another waker than the task's, because a combinator has made one for it, is polled with
    /// one that records as well.
    pub(crate) fn watch<T>(
        self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.poll(cx, |cx| {
            let before = leaves(cx);
            let result = poll(cx);
            if result.is_pending() && leaves(cx) == before {
                self.leaf(LeafKind::NoWaker, Mark::here());
            }
            result
        })
    }

    /// Calls `run` with this capture and those around it, from the inside out, if it is going on, and with what is being
    /// polled around the caller.
    fn each_capture(self, mut run: impl FnMut(&Capture, &Surroundings)) {
        let mut surroundings = take_room();
        (self.surroundings)(&mut surroundings);
        let captures = surroundings.iter().filter_map(|around| around.capture);
        for capture in captures.skip_while(|capture| *capture != self) {
            // SAFETY: `surroundings` has just been filled with the polls that this thread is in the middle of. A capture
            // is on the stack of its poll, and that poll cannot end while this thread is here.
            run(unsafe { capture.capture.as_ref() }, &surroundings);
        }
        give_room(surroundings);
    }

    /// Records the stack of the caller, in this capture and in those around it. `recording` is the mark of
    /// the function in which the stacks are to end.
    #[inline(never)]
    fn leaf(self, kind: LeafKind, recording: Mark) {
        // For what an allocator may ask. The waker is cloned after this.
        let _inside = Inside::enter();
        let begun = (METERS.load(Ordering::Relaxed) > 0).then(Instant::now);
        count_leaf();
        if !has_room() {
            self.note_no_room();
            return;
        }
        let mut lost = Lost::Recorded;
        self.each_capture(|capture, surroundings| {
            // The recorder is in use only while it records, and recording calls nobody's code.
            // Should it be in use all the same, a missing leaf is better than a panic.
            if let Ok(mut recorder) = capture.recorder.try_borrow_mut() {
                recorder.record(recording, capture.mark, kind, surroundings, lost);
            }
            lost = Lost::LeftOut;
        });
        if let Some(begun) = begun {
            let nanos = begun.elapsed().as_nanos().try_into().unwrap_or(u64::MAX);
            SPENT.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    /// Notes that a leaf was not recorded.
    fn note_no_room(self) {
        self.each_capture(|capture, _| capture.had_no_room.set(true));
    }

    /// Counts wakers that other threads have cloned.
    fn note_elsewhere(self, count: usize) {
        let _inside = Inside::enter();
        count_leaf();
        self.each_capture(|capture, _| capture.elsewhere.set(capture.elsewhere.get() + count));
    }
}

/// Returns `true` if the function that returns to `address` is one of those that record the stack of a task
/// in its poll. It may be found on the stack of a thread that was interrupted.
///
/// It is known by where it starts, as the tables that such a stack is walked with say it.
pub(crate) fn is_recording(address: ReturnAddress) -> bool {
    let mut starts = waker::starts().into_iter().chain([here as *const ()]);
    starts.any(|start| is_in_function(address, start.addr()))
}

/// The stack from the caller up to the task of which `mark` is.
#[inline(never)]
pub(crate) fn here(mark: Mark, surroundings: &Surroundings) -> RawTrace {
    let mut recorder = Recorder::new();
    let kind = LeafKind::Here;
    recorder.record(Mark::here(), mark, kind, surroundings, Lost::Recorded);
    // It belongs to no task, and nothing is known of what is alive.
    recorder.finish().trace(0, &[], Now(0))
}
