//! Interned captures: the part that tasks which wait alike share, and the times that each task has of its own.
//!
//! Most tasks of a program wait in one of a few ways. Their captures have the same stacks, the same polls on these, and
//! the same live frames. They differ in the numbers of tasks and frames, which tell only which of them are the same, and
//! in times. So a [`RawTrace`] refers to the [`Interned`] capture of the first such task, with the numbers of that
//! task, and has times of its own.

use std::any::Any;
use std::ops::Deref;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::live::{Live, Marker, Now};
use super::recording::Recording;
use super::stack::{Entry, Stack};
use crate::sync::StaticMutex;
use crate::unwind::Step;

/// A capture without its times.
#[derive(Debug, Default)]
pub(crate) struct Interned {
    recording: Recording,
    /// The number of the task.
    pub(crate) task: u64,
    /// The frames of the task that were alive when the capture ended, or when the snapshot was taken: a snapshot has no
    /// stacks. Their times are those of the first such capture.
    pub(crate) frames: Vec<Live>,
    /// The positions of the frames that are held, in their order.
    held: Vec<usize>,
    /// Shared with the captures that differ from this one only in labels and times. `None` if such are not looked for.
    memos: Option<Arc<Memos>>,
}

/// Values that others have made of a capture, and of those that differ only in labels and times: by number.
pub(crate) type Memos = [Memo; 2];

/// A value that is kept for as long as there is a capture that it is of, or until it is replaced.
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
        // The previous value is dropped when the lock has been given back.
        let mut value: Option<Arc<dyn Any + Send + Sync>> = Some(value);
        std::mem::swap(
            &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner),
            &mut value,
        );
    }
}

impl Interned {
    /// Moves `recording` into it.
    pub(super) fn new(
        recording: &mut Recording,
        task: u64,
        live: &[Live],
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

    /// Returns the memos that it shares with the captures that differ only in labels and times.
    pub(crate) fn memos(&self) -> Option<&Arc<Memos>> {
        self.memos.as_ref()
    }

    pub(crate) fn stacks(&self) -> &[Stack] {
        &self.recording.stacks
    }

    pub(crate) fn markers(&self) -> &[Marker] {
        &self.recording.markers
    }

    pub(crate) fn marker(&self, position: u32) -> Option<&Marker> {
        self.markers().get(position as usize)
    }

    /// Returns the number of leaves that were not recorded for want of room.
    pub(crate) fn dropped(&self) -> usize {
        self.recording.dropped
    }

    /// Returns the number of wakers that other threads have cloned.
    pub(crate) fn elsewhere(&self) -> usize {
        self.recording.elsewhere
    }

    pub(crate) fn entries<'a>(&'a self, stack: &'a Stack) -> impl Iterator<Item = Entry> + 'a {
        let polls = self.recording.polls.get(stack.polls..).unwrap_or_default();
        let mut polls = polls.iter();
        stack.way.iter().map(move |step| match step {
            Step::Ip(address) => Entry::Ip(*address),
            Step::Cut => Entry::Cut,
            Step::Lost => Entry::Lost,
            Step::Mark => Entry::Marker(polls.next().copied().unwrap_or(u32::MAX)),
        })
    }
}

/// A capture of a task: the [`Interned`] one, and its own times.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawTrace {
    interned: Arc<Interned>,
    times: Times,
}

impl Deref for RawTrace {
    type Target = Interned;

    fn deref(&self) -> &Interned {
        &self.interned
    }
}

impl RawTrace {
    pub(super) fn new(interned: Arc<Interned>, live: &[Live], now: Now) -> Self {
        let held = &interned.held;
        let polled = held.iter().map(|at| live[*at].polled);
        let steps = live.iter().map(|frame| frame.since).chain(polled);
        let times = Times::new(now, live.len() + held.len(), steps);
        Self { interned, times }
    }

    /// Returns `true` if both refer to the same interned capture, so that they differ at most in times.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.interned, &other.interned)
    }

    /// Tells the times as of another moment.
    pub(crate) fn tell_as_of(&mut self, moment: Now) {
        self.times.now = moment;
    }

    /// Returns how long ago a live frame was first suspended.
    pub(crate) fn age(&self, frame: usize) -> Duration {
        self.times.get(frame)
    }

    /// Returns how long ago a live frame was last polled, if its task has been polled since, and should have polled it.
    pub(crate) fn not_polled_for(&self, frame: usize) -> Option<Duration> {
        let held_before = self.held.binary_search(&frame).ok()?;
        Some(self.times.get(self.frames.len() + held_before))
    }
}

/// This number of times is kept in place: hardly any task has more frames.
const FEW: usize = 12;

/// The steps of time in which the live frames were first suspended, and then those in which the held ones were last
/// polled.
#[derive(Clone, Debug)]
struct Times {
    /// The moment as of which the times are told.
    now: Now,
    steps: Steps,
}

#[derive(Clone, Debug)]
enum Steps {
    Few([u32; FEW]),
    Many(Box<[u32]>),
}

impl Default for Times {
    fn default() -> Self {
        Self::new(Now(0), 0, std::iter::empty())
    }
}

impl Times {
    fn new(now: Now, count: usize, steps: impl Iterator<Item = u32>) -> Self {
        let steps = if count <= FEW {
            let mut few = [0; FEW];
            few.iter_mut()
                .zip(steps)
                .for_each(|(place, step)| *place = step);
            Steps::Few(few)
        } else {
            Steps::Many(steps.collect())
        };
        Self { now, steps }
    }

    fn get(&self, at: usize) -> Duration {
        let steps: &[u32] = match &self.steps {
            Steps::Few(few) => few,
            Steps::Many(many) => many,
        };
        let nanos = steps.get(at).map_or(0, |step| self.now.since(*step));
        Duration::from_nanos(nanos)
    }
}
