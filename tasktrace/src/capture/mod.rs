//! Recording where wakers are cloned.
//!
//! * [`waker`]: the waker that a task is handed while it is captured; [`context`]: what else it is handed.
//! * [`record`]: the buffer that the stacks go to; [`draft`]: what is in it at the end; [`stack`]: one of them.
//! * [`form`]: what traces have in common, which is kept once; [`forms`]: those that a thread has seen last.
//! * [`sample`]: the stack of a thread that is interrupted.
//! * [`live`]: what goes with the stacks: the live frames.
//! * [`few`]: a list of mostly one.
//!
//! What is recorded is addresses: this module knows neither symbols nor text. Nor does it know
//! tasks: what is being polled around a leaf it is told.
//!
//! # What is kept from capture to capture
//!
//! | | by | saves | at most | forgotten |
//! |---|---|---|---|---|
//! | rules (`unwind`) | the address of a call | to read the unwind tables | 4,096 a walker | when a library is loaded or unloaded, or others take their places |
//! | ways (`unwind`) | where a walk begins and ends, the words that it reads, the marks that it passes | the walk, and to make a way of it | 256 a walker, of 128 frames | as rules |
//! | [forms] | the very ways; which functions the task and its frames are, and how these are in each other | to allocate; tells by an address that traces are alike | 128 a thread, of 128 frames | when others take their places, or the thread ends |
//! | patterns (`trace`) | equal ways; the same of tasks and frames, and which labels are equal | symbols, and to make the tree | 4,096, of 2¹⁸ steps, words and frames together | all at once, when they are too many or paths are shortened in another way |
//!
//! There are 16 walkers that wait, and as many more as there are captures at a time. Each line is found by what the one
//! before has made, so what is alike is compared once, and then known by where it is. While a dump is printed, the
//! pattern of a form, and what is made of a pattern, are looked up once for all tasks: that is kept until the dump is
//! there.

mod context;
mod draft;
mod few;
mod form;
mod forms;
mod live;
mod record;
mod sample;
mod stack;
mod waker;

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

pub(crate) use draft::Draft;
pub(crate) use form::{Alive, FEW, Form, LiveFrame, RawTrace, Times};
pub(crate) use live::{Around, HasKey, Live, Marker, Now, Numbers, Surroundings};
pub use sample::{NoSample, SampleSignalError, set_sample_signal};
pub(crate) use sample::{Scopes, Seen, make_room, sample};
pub(crate) use stack::{Entry, LeafKind, Stack};
pub(crate) use waker::{real, register};

use crate::os;
use crate::sync::Inside;
pub(crate) use crate::unwind::Way;
use crate::unwind::{Mark, ReturnAddress, is_in_function, this_thread};
use record::Recorder;

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

    /// [`finish`](Self::finish). Returns `None` if there was a leaf with too little room on the stack to record it.
    pub(crate) fn finish_with_room(self) -> Option<Box<Draft>> {
        (!self.had_no_room.get()).then(|| self.finish())
    }

    /// What was recorded, without the frames that are alive.
    pub(crate) fn finish(self) -> Box<Draft> {
        let mut trace = self.recorder.into_inner().finish();
        trace.form.elsewhere = self.elsewhere.into_inner();
        trace
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

    /// Calls `run` with the capture, if it is going on.
    fn with<R>(self, surroundings: &[Around], run: impl FnOnce(&Capture) -> R) -> Option<R> {
        let mut captures = surroundings.iter().filter_map(|around| around.capture);
        let is_going_on = captures.any(|capture| capture == self);
        // SAFETY: the surroundings are of now, and captures that are going on are on the stack of
        // their poll. That one cannot end while `run` is running, because this thread is here.
        is_going_on.then(|| run(unsafe { self.capture.as_ref() }))
    }

    /// Calls `run` with what is being polled around the caller.
    #[inline(always)]
    fn with_surroundings(self, run: impl FnOnce(&mut Surroundings)) {
        let mut surroundings = take_room();
        (self.surroundings)(&mut surroundings);
        run(&mut surroundings);
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
        self.with_surroundings(|surroundings| self.leaf_in(kind, recording, surroundings));
        if let Some(begun) = begun {
            let nanos = begun.elapsed().as_nanos().try_into().unwrap_or(u64::MAX);
            SPENT.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    fn leaf_in(self, kind: LeafKind, recording: Mark, surroundings: &mut Surroundings) {
        // This capture, and those around it.
        let mut captures = surroundings
            .iter()
            .filter_map(|around| around.capture)
            .skip_while(|capture| *capture != self);
        let Some(own) = captures.next() else {
            return;
        };
        let is_alone = captures.next().is_none();
        // SAFETY: the surroundings are of now, so it is going on, and this thread is here: see `with`.
        let capture = unsafe { own.capture.as_ref() };
        let own = capture.mark;
        // The recorder is in use only while it records, and recording calls nobody's code.
        // Should it be in use all the same, a missing leaf is better than a panic.
        let Ok(mut recorder) = capture.recorder.try_borrow_mut() else {
            return;
        };
        if is_alone && recorder.record_first(recording, own, kind, surroundings) {
            return;
        }
        recorder.record(recording, own, kind, surroundings);
        let captures = surroundings.iter().filter_map(|around| around.capture);
        for outer in captures.skip_while(|capture| *capture != self).skip(1) {
            outer.with(surroundings, |outer| {
                if let Ok(mut recorder) = outer.recorder.try_borrow_mut() {
                    recorder.record_around(recording, outer.mark, kind, surroundings);
                }
            });
        }
    }

    /// Notes that a leaf was not recorded.
    fn note_no_room(self) {
        self.with_surroundings(|surroundings| {
            let captures = surroundings.iter().filter_map(|around| around.capture);
            for capture in captures.skip_while(|capture| *capture != self) {
                capture.with(surroundings, |capture| capture.had_no_room.set(true));
            }
        });
    }

    /// Counts wakers that other threads have cloned.
    fn note_elsewhere(self, count: usize) {
        let _inside = Inside::enter();
        count_leaf();
        self.with_surroundings(|surroundings| {
            let captures = surroundings.iter().filter_map(|around| around.capture);
            for capture in captures.skip_while(|capture| *capture != self) {
                capture.with(surroundings, |capture| {
                    capture.elsewhere.set(capture.elsewhere.get() + count);
                });
            }
        });
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
    recorder.record(Mark::here(), mark, LeafKind::Here, surroundings);
    recorder.finish().without_live()
}
