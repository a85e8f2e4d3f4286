//! Describes the active scopes around a leaf and the live frames of a task, as plain data.

use std::collections::HashMap;

use super::CaptureRef;
use crate::origin::{CLOCK_STEP, Identity};
use crate::unwind::Mark;

/// A task or a frame whose poll is on a stack.
#[derive(Clone, Debug)]
pub(crate) struct ScopeMarker {
    /// The number of its task.
    pub(crate) task: u64,
    /// Identifies the frame within that task: see [`FrameSnapshot::key`]. 0 is the task itself.
    pub(crate) key: Option<u64>,
    pub(crate) identity: Identity,
    /// `true` if it is polled with a waker other than its parent's.
    pub(crate) own_waker: bool,
}

/// A poll that a thread is in the middle of.
#[derive(Clone, Debug)]
pub(crate) struct ActiveScope {
    pub(crate) mark: Mark,
    pub(crate) marker: ScopeMarker,
    /// `true` if it is a task that is also a frame of another task. The next scope around it is that frame.
    pub(crate) is_also_frame: bool,
    /// The running capture, if this is the poll of a task that is being captured.
    pub(crate) capture: Option<CaptureRef>,
}

/// The polls that a thread is in the middle of, innermost first.
pub(crate) type ActiveScopes = Vec<ActiveScope>;

/// A moment by the clock that times tasks, in nanoseconds since its first step began. The ages of live frames are
/// computed as of such a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SnapshotTime(pub(crate) u64);

impl SnapshotTime {
    /// Returns how many nanoseconds before this moment a step of the clock began.
    #[inline]
    pub(super) fn since(self, step: u32) -> u64 {
        let begun = u64::from(step.saturating_sub(1)) * CLOCK_STEP.as_nanos() as u64;
        self.0.saturating_sub(begun)
    }
}

/// A live frame.
#[derive(Clone, Debug)]
pub(crate) struct FrameSnapshot {
    /// Identifies the frame among the frames of its task.
    pub(crate) key: u64,
    /// The key of the parent frame. 0 is the task itself.
    pub(crate) parent: u64,
    pub(crate) identity: Identity,
    /// The step of the clock in which the frame was first suspended.
    pub(crate) since: u32,
    /// The step of the clock in which the frame was last polled.
    pub(crate) polled: u32,
    /// `true` if the last poll of the task should have polled the frame, and did not.
    pub(crate) is_held: bool,
}

/// An index from the keys of live frames to their positions.
pub(super) struct FramePositions<'a> {
    frames: &'a [FrameSnapshot],
    /// `None` if there are at most [`MAX_SEARCHED`] frames.
    by_key: Option<HashMap<u64, usize>>,
    /// The position that is tried first: keys are mostly looked up in the order of the frames.
    next: usize,
}

/// Up to this number of live frames, a search is used instead of a map.
const MAX_SEARCHED: usize = 16;

impl<'a> FramePositions<'a> {
    pub(super) fn of(frames: &'a [FrameSnapshot]) -> Self {
        let all = || frames.iter().enumerate();
        let by_key = (frames.len() > MAX_SEARCHED)
            .then(|| all().map(|(at, frame)| (frame.key, at)).collect());
        Self {
            frames,
            by_key,
            next: 0,
        }
    }

    /// Returns the position of the frame with this key.
    #[inline]
    pub(super) fn find(&mut self, key: u64) -> Option<usize> {
        let next = self.frames.get(self.next);
        let at = match next.is_some_and(|frame| frame.key == key) {
            true => self.next,
            false => self.search(key)?,
        };
        self.next = at + 1;
        Some(at)
    }

    fn search(&self, key: u64) -> Option<usize> {
        match &self.by_key {
            Some(by_key) => by_key.get(&key).copied(),
            None => self.frames.iter().position(|frame| frame.key == key),
        }
    }
}

/// Returns the active scopes that belong to the task at `mark`, outermost first. A task that is also a frame is
/// represented by that frame.
pub(super) fn scopes_within(mark: Mark, scopes: &[ActiveScope]) -> impl ScopeIter<'_> {
    let end = scopes.iter().position(|scope| scope.mark == mark);
    let part = &scopes[..end.map_or(scopes.len(), |end| end + 1)];
    let is_shown = move |scope: &&ActiveScope| scope.mark == mark || !scope.is_also_frame;
    part.iter().rev().filter(is_shown)
}

/// An iterator over active scopes, outermost first.
pub(super) trait ScopeIter<'a>: Iterator<Item = &'a ActiveScope> + Clone {}

impl<'a, I: Iterator<Item = &'a ActiveScope> + Clone> ScopeIter<'a> for I {}
