//! Splits a capture into an interned part, which equal captures share, and its own times.
//!
//! Most tasks of a program wait at one of a few places. The captures of two tasks that wait at the same place have the
//! same stacks, the same polls on these stacks, and the same live frames. They differ only in times, and in the numbers
//! that identify tasks and frames. So a [`RawTrace`] refers to the [`InternedCapture`] of the first such task, with the
//! numbers of that task, and has times of its own.

use std::any::Any;
use std::ops::Deref;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::recording::Recording;
use super::snapshot::{FrameSnapshot, ScopeMarker, SnapshotTime};
use super::stack::{Stack, StackEntry};
use crate::sync::StaticMutex;
use crate::unwind::Step;

/// A capture of a task: an [`InternedCapture`] and the times of this task.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawTrace {
    interned: Arc<InternedCapture>,
    times: RecordedTimes,
}

impl Deref for RawTrace {
    type Target = InternedCapture;

    fn deref(&self) -> &InternedCapture {
        &self.interned
    }
}

/// Traces are equal if they differ at most in the numbers of tasks and frames.
impl PartialEq for RawTrace {
    fn eq(&self, other: &Self) -> bool {
        self.shares_capture(other) && self.times == other.times
    }
}

impl RawTrace {
    pub(super) fn new(
        interned: Arc<InternedCapture>,
        live: &[FrameSnapshot],
        now: SnapshotTime,
    ) -> Self {
        let held = &interned.held;
        let polled = held.iter().map(|at| live[*at].polled);
        let steps = live.iter().map(|frame| frame.since).chain(polled);
        let times = RecordedTimes::new(now, live.len() + held.len(), steps);
        Self { interned, times }
    }

    /// Returns `true` if both refer to the same interned capture. Then they differ at most in times and numbers.
    pub(super) fn shares_capture(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.interned, &other.interned)
    }

    /// Changes the moment as of which the ages of the frames are computed.
    pub(crate) fn set_time(&mut self, moment: SnapshotTime) {
        self.times.now = moment;
    }

    /// Returns how long ago a live frame was first suspended.
    pub(crate) fn age(&self, frame: usize) -> Duration {
        self.times.get(frame)
    }

    /// Returns how long ago a held frame was last polled, or `None` if the frame is not held.
    pub(crate) fn not_polled_for(&self, frame: usize) -> Option<Duration> {
        let held_before = self.held.binary_search(&frame).ok()?;
        Some(self.times.get(self.frames.len() + held_before))
    }
}

/// A capture without its times.
#[derive(Debug, Default)]
pub(crate) struct InternedCapture {
    recording: Recording,
    /// The number of the task.
    pub(crate) task: u64,
    /// The frames of the task that were live when the capture ended or the snapshot was taken. (A snapshot has no
    /// stacks.) Their times are those of the first equal capture.
    pub(crate) frames: Vec<FrameSnapshot>,
    /// The positions of the held frames, in ascending order.
    held: Vec<usize>,
    /// Values that this capture shares with the captures that differ from it only in labels and times. `None` if the
    /// interner does not look for such captures.
    memos: Option<Arc<Memos>>,
}

/// Values that other modules have computed from a capture. Captures that differ only in labels and times share them.
pub(crate) type Memos = [Memo; 2];

/// A computed value that is kept as long as its captures, or until it is replaced.
#[derive(Debug, Default)]
pub(crate) struct Memo(StaticMutex<Option<Arc<dyn Any + Send + Sync>>>);

impl Memo {
    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let kept = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        kept?.downcast().ok()
    }

    pub(crate) fn set(&self, value: Arc<impl Send + Sync + 'static>) {
        // The previous value is dropped after the lock is released.
        let mut value: Option<Arc<dyn Any + Send + Sync>> = Some(value);
        std::mem::swap(
            &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner),
            &mut value,
        );
    }
}

impl InternedCapture {
    /// Creates an interned capture. Moves the stacks out of `recording`.
    pub(super) fn new(
        recording: &mut Recording,
        task: u64,
        live: &[FrameSnapshot],
        memos: Option<Arc<Memos>>,
    ) -> Self {
        let numbered = live.iter().enumerate();
        let held = numbered.filter_map(|(at, frame)| frame.is_held.then_some(at));
        Self {
            recording: std::mem::take(recording),
            task,
            frames: live.to_vec(),
            held: held.collect(),
            memos,
        }
    }

    /// Returns the memos that this capture shares with the captures that differ only in labels and times.
    pub(crate) fn memos(&self) -> Option<&Arc<Memos>> {
        self.memos.as_ref()
    }

    pub(crate) fn stacks(&self) -> &[Stack] {
        &self.recording.stacks
    }

    pub(crate) fn markers(&self) -> &[ScopeMarker] {
        &self.recording.markers
    }

    pub(crate) fn marker(&self, position: u32) -> Option<&ScopeMarker> {
        self.markers().get(position as usize)
    }

    /// Returns the number of leaves that were not recorded because the recording was full.
    pub(crate) fn dropped(&self) -> usize {
        self.recording.dropped
    }

    /// Returns the number of wakers that other threads have cloned.
    pub(crate) fn remote_clones(&self) -> usize {
        self.recording.remote_clones
    }

    /// Returns the entries of a stack, from the root to the leaf.
    pub(crate) fn entries<'a>(&'a self, stack: &'a Stack) -> impl Iterator<Item = StackEntry> + 'a {
        let positions = self.recording.marker_positions.get(stack.first_marker..);
        let positions = positions.unwrap_or_default();
        let mut positions = positions.iter();
        stack.call_path.iter().map(move |step| match step {
            Step::Ip(address) => StackEntry::Ip(*address),
            Step::Cut => StackEntry::Cut,
            Step::Lost => StackEntry::Lost,
            Step::Mark => StackEntry::Marker(positions.next().copied().unwrap_or(u32::MAX)),
        })
    }
}

/// The largest number of times that are stored inline. Hardly any task has more frames.
const MAX_INLINE: usize = 12;

/// The steps of the clock in which the live frames were first suspended, followed by those in which the held frames
/// were last polled.
#[derive(Clone, Debug, PartialEq)]
struct RecordedTimes {
    /// The moment as of which ages are computed.
    now: SnapshotTime,
    steps: TimeSteps,
}

#[derive(Clone, Debug, PartialEq)]
enum TimeSteps {
    Inline([u32; MAX_INLINE]),
    Boxed(Box<[u32]>),
}

impl Default for RecordedTimes {
    fn default() -> Self {
        Self::new(SnapshotTime(0), 0, std::iter::empty())
    }
}

impl RecordedTimes {
    fn new(now: SnapshotTime, count: usize, steps: impl Iterator<Item = u32>) -> Self {
        let steps = if count <= MAX_INLINE {
            let mut inline = [0; MAX_INLINE];
            inline
                .iter_mut()
                .zip(steps)
                .for_each(|(place, step)| *place = step);
            TimeSteps::Inline(inline)
        } else {
            TimeSteps::Boxed(steps.collect())
        };
        Self { now, steps }
    }

    fn get(&self, at: usize) -> Duration {
        let steps: &[u32] = match &self.steps {
            TimeSteps::Inline(inline) => inline,
            TimeSteps::Boxed(boxed) => boxed,
        };
        let nanos = steps.get(at).map_or(0, |step| self.now.since(*step));
        Duration::from_nanos(nanos)
    }
}
