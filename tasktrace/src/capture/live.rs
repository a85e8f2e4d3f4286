//! The live frames of a task, as they go with its stacks: plain data.

use std::collections::HashMap;

use super::CaptureRef;
use crate::origin::{Identity, STEP};
use crate::unwind::Mark;

/// A task or a frame whose poll is on the stack.
#[derive(Clone, Debug)]
pub(crate) struct Marker {
    /// The number of its task.
    pub(crate) task: u64,
    /// Which frame of that task: see [`Live::key`]. 0 is the task itself.
    pub(crate) key: Option<u64>,
    pub(crate) identity: Identity,
    /// Whether it is polled with another waker than what is around it.
    pub(crate) own_waker: bool,
}

/// One of the polls around a place.
#[derive(Clone, Debug)]
pub(crate) struct Around {
    pub(crate) mark: Mark,
    pub(crate) marker: Marker,
    /// Whether it is a task that is a frame of another as well: that frame is the next around it.
    pub(crate) is_also_frame: bool,
    /// The capture that it is in the middle of, if it is a task.
    pub(crate) capture: Option<CaptureRef>,
}

/// What is being polled around a place, from the inside out.
pub(crate) type Surroundings = Vec<Around>;

/// A time by that clock, in nanoseconds since the first step has begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now(pub(crate) u64);

impl Now {
    /// How many nanoseconds ago a step has begun.
    #[inline]
    pub(super) fn since(self, step: u32) -> u64 {
        let begun = u64::from(step.saturating_sub(1)) * STEP.as_nanos() as u64;
        self.0.saturating_sub(begun)
    }
}

/// A live frame.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    /// Identifies it among the frames of the task.
    pub(crate) key: u64,
    /// The key of the frame that it is below. 0 is the task itself.
    pub(crate) parent: u64,
    pub(crate) identity: Identity,
    /// The step of time in which it was first suspended.
    pub(crate) since: u32,
    /// The step of time in which it was last polled.
    pub(crate) polled: u32,
    /// The last poll of its task should have polled it, and did not.
    pub(crate) is_held: bool,
}

/// Finds live frames by their keys.
pub(super) struct Numbers<'a> {
    live: &'a [Live],
    many: Option<HashMap<u64, usize>>,
    /// They mostly are asked for in their order.
    next: usize,
}

/// So many live frames are found without a map.
const FEW: usize = 16;

impl<'a> Numbers<'a> {
    pub(super) fn of(live: &'a [Live]) -> Self {
        let all = || live.iter().enumerate();
        let many = (live.len() > FEW).then(|| all().map(|(at, live)| (live.key, at)).collect());
        Self {
            live,
            many,
            next: 0,
        }
    }

    /// Returns the position of the frame with this key.
    pub(super) fn find(&mut self, key: u64) -> Option<usize> {
        let is_it = |at: usize| self.live.get(at).is_some_and(|live| live.key == key);
        let at = match &self.many {
            _ if is_it(self.next) => self.next,
            Some(many) => *many.get(&key)?,
            None => (0..self.live.len()).find(|at| is_it(*at))?,
        };
        self.next = at + 1;
        Some(at)
    }
}

/// The part that belongs to the task at `mark`, from the outside in.
pub(super) fn from(mark: Mark, surroundings: &[Around]) -> impl Scopes<'_> {
    let end = surroundings.iter().position(|around| around.mark == mark);
    let part = &surroundings[..end.map_or(surroundings.len(), |end| end + 1)];
    let is_shown = move |around: &&Around| around.mark == mark || !around.is_also_frame;
    part.iter().rev().filter(is_shown)
}

/// Polls, from the outside in.
pub(super) trait Scopes<'a>: Iterator<Item = &'a Around> + Clone {}

impl<'a, I: Iterator<Item = &'a Around> + Clone> Scopes<'a> for I {}
