//! Recording where wakers are cloned.
//!
//! * [`waker`]: the waker that a task is handed while it is captured.
//! * [`record`]: the buffer that the stacks go to; [`draft`]: what is in it at the end.
//! * [`form`]: what traces have in common, which is kept once.
//! * [`sample`]: the stack of a thread that is interrupted.
//! * [`live`]: what goes with the stacks: the live frames.
//! * [`few`]: a list of mostly one.
//!
//! What is recorded is addresses: this module knows neither symbols nor text. Nor does it know
//! tasks: what is being polled around a leaf it is told.

mod draft;
mod few;
mod form;
mod live;
mod record;
mod sample;
mod waker;

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

pub(crate) use draft::Draft;
pub(crate) use form::{Alive, FEW, Form, LiveFrame, RawTrace};
pub(crate) use live::{Around, HasKey, Live, Marker, Now, Numbers, Surroundings};
pub(crate) use record::{Entry, LeafKind, Stack};
pub use sample::{NoSample, set_sample_signal};
pub(crate) use sample::{Scopes, Seen, sample};
pub(crate) use waker::real;

pub(crate) use crate::unwind::Way;
use crate::unwind::{Mark, this_thread};
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
        }
    }

    pub(crate) fn as_ref(&self) -> CaptureRef {
        CaptureRef {
            capture: NonNull::from(self),
            surroundings: self.surroundings,
        }
    }

    /// What was recorded, without the frames that are alive.
    pub(crate) fn finish(self) -> Box<Draft> {
        let mut trace = self.recorder.into_inner().finish();
        trace.form.elsewhere = self.elsewhere.into_inner();
        trace
    }
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
        waker::with(self, cx.waker(), poll)
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
                self.leaf(LeafKind::NoWaker);
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

    /// Records the stack of the caller, in this capture and in those around it.
    #[inline(never)]
    fn leaf(self, kind: LeafKind) {
        let begun = (METERS.load(Ordering::Relaxed) > 0).then(Instant::now);
        count_leaf();
        self.with_surroundings(|surroundings| self.leaf_in(kind, surroundings));
        if let Some(begun) = begun {
            let nanos = begun.elapsed().as_nanos().try_into().unwrap_or(u64::MAX);
            SPENT.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    fn leaf_in(self, kind: LeafKind, surroundings: &mut Surroundings) {
        // This capture, and those around it.
        let mut captures = surroundings
            .iter()
            .filter_map(|around| around.capture)
            .skip_while(|capture| *capture != self);
        let Some(own) = captures.next() else {
            return;
        };
        let outermost = captures.next();
        let is_alone = outermost.is_none();
        let outermost = captures.last().or(outermost).unwrap_or(own);
        // SAFETY: the surroundings are of now, so the two are going on, and this thread is here: see
        // `with`.
        let (capture, outermost) =
            unsafe { (own.capture.as_ref(), outermost.capture.as_ref().mark) };
        let own = capture.mark;
        // The recorder is in use only while it records, and recording calls nobody's code.
        // Should it be in use all the same, a missing leaf is better than a panic.
        let Ok(mut recorder) = capture.recorder.try_borrow_mut() else {
            return;
        };
        recorder.walk(outermost, surroundings);
        if is_alone && recorder.record_first(own, kind, surroundings) {
            return;
        }
        recorder.record(own, kind, surroundings);
        let captures = surroundings.iter().filter_map(|around| around.capture);
        for outer in captures.skip_while(|capture| *capture != self).skip(1) {
            outer.with(surroundings, |outer| {
                if let Ok(mut recorder_of_outer) = outer.recorder.try_borrow_mut() {
                    recorder_of_outer.record_walked_by(
                        &mut recorder,
                        outer.mark,
                        kind,
                        surroundings,
                    );
                }
            });
        }
    }

    /// Counts wakers that other threads have cloned.
    fn note_elsewhere(self, count: usize) {
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

/// The stack from the caller up to the task of which `mark` is.
#[inline(never)]
pub(crate) fn here(mark: Mark, surroundings: &Surroundings) -> RawTrace {
    let mut recorder = Recorder::new();
    recorder.walk(mark, surroundings);
    recorder.record(mark, LeafKind::Here, surroundings);
    recorder.finish().without_live()
}
