//! Walks the stacks of one capture, and turns them into call paths.

use std::sync::Arc;

use super::recording::{MAX_STEPS, Recording};
use super::snapshot::{ActiveScope, ScopeIter, scopes_within};
use super::stack::LeafKind;
use crate::origin::Origin;
use crate::unwind::{
    CallPath, InterruptedThread, MAX_MARKED_FRAME, Mark, PhysicalFrame, Reach, Step, WalkResult,
    Walker,
};

/// Walks the stacks of a capture, and adds them to its [`Recording`].
pub(super) struct StackRecorder {
    walker: Option<Walker>,
    walk: StackWalk,
    recording: Box<Recording>,
}

impl StackRecorder {
    pub(super) fn new() -> Self {
        Self {
            walker: None,
            walk: StackWalk::new(),
            recording: Recording::take(),
        }
    }

    /// Records the stack from the task at `mark` to the function at `recorder_mark`, which has called this one.
    #[inline(never)]
    pub(super) fn record(
        &mut self,
        recorder_mark: Mark,
        mark: Mark,
        kind: LeafKind,
        active: &[ActiveScope],
        lost: LostWalk,
    ) {
        let scopes = scopes_within(mark, active);
        let walk = &mut self.walk;
        let walker = self.walker.get_or_insert_with(|| {
            let mut walker = Walker::acquire();
            walk.frames = walker.take_buffer();
            walker
        });
        let marks = scopes.clone().map(|scope| scope.mark);
        let (group, limit) = (group_of(active), self.recording.steps_left());
        let result = walker.walk_or_reuse(mark, marks.clone(), group, limit, &mut walk.frames);
        let (reach, path) = match result {
            WalkResult::Known(path) => (Reach::Mark, path),
            WalkResult::New(reach, inputs) => {
                walk.recorder_mark = Some(recorder_mark);
                walk.mark = mark;
                walk.reach = reach;
                walk.check_order();
                let path = Arc::new(walk.call_path(mark, scopes.clone()));
                if let Some(inputs) = inputs {
                    walker.keep(inputs, marks, &path);
                }
                (reach, path)
            }
        };
        if reach != Reach::Lost || lost == LostWalk::Recorded {
            self.recording
                .push(path, kind, scopes.map(|scope| &scope.marker));
        }
    }

    /// Walks the stack of an interrupted thread, up to `mark` or as far as the stack can be followed.
    pub(super) fn walk_interrupted(&mut self, thread: &InterruptedThread<'_>, mark: Mark) {
        let mut walker = Walker::acquire();
        let frames = &mut self.walk.frames;
        self.walk.mark = mark;
        self.walk.reach = walker.walk_interrupted(thread, mark, MAX_STEPS, frames);
        self.walk.check_order();
        // This trace needs no further walk, and other captures can use the caches of the walker.
        walker.release(Vec::new());
    }

    /// Retains those polls of the walked thread that are on its stack, or may be. `polls` is ordered innermost first.
    ///
    /// A poll is not on the stack of its thread if a coroutine was suspended in the middle of the poll.
    pub(super) fn retain_walked<T>(&self, polls: &mut Vec<T>, mark: impl Fn(&T) -> Mark) {
        let is_complete = matches!(self.walk.reach, Reach::Mark | Reach::End);
        let passed = polls.iter().rposition(|poll| self.walk.passes(mark(poll)));
        // If the walk is incomplete, the functions of the polls further out may be among the missing frames.
        let known = match passed {
            Some(outermost) => outermost + 1,
            None => 0,
        };
        let mut at = 0;
        polls.retain(|poll| {
            at += 1;
            self.walk.passes(mark(poll)) || at > known && !is_complete
        });
    }

    /// Returns a recording of the stack that was walked last, from the task at `mark` to the leaf.
    pub(super) fn interrupted(&self, mark: Mark, active: &[ActiveScope]) -> Box<Recording> {
        let scopes = scopes_within(mark, active);
        let path = Arc::new(self.walk.call_path(mark, scopes.clone()));
        let mut recording = Recording::take();
        recording.push(path, LeafKind::Sampled, scopes.map(|scope| &scope.marker));
        recording
    }

    /// Returns the recording of all stacks.
    pub(super) fn finish(mut self) -> Box<Recording> {
        if let Some(walker) = self.walker.take() {
            walker.release(self.walk.frames);
        }
        self.recording
    }
}

/// The treatment of a stack on which the walk did not reach the task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LostWalk {
    /// The part of the stack that is known is recorded.
    Recorded,
    /// Nothing is recorded, because the task is not on this stack: see [`CaptureRef`](super::CaptureRef).
    LeftOut,
}

/// Returns a number that is equal for equal origins of the innermost and the outermost scope, whose polls mostly go
/// through the same calls.
fn group_of(active: &[ActiveScope]) -> usize {
    let ends = [active.first(), active.last()];
    let origins = ends
        .into_iter()
        .flatten()
        .map(|scope| scope.marker.identity.origin());
    origins
        .flat_map(Origin::addresses)
        .fold(active.len(), |group, word| group.rotate_left(11) ^ word)
}

/// The result of the last walk.
struct StackWalk {
    /// The mark of the recording function on the stack that was walked. Its callees are implementation details and are
    /// left out of the call path. `None` if no function of this crate recorded the stack.
    recorder_mark: Option<Mark>,
    /// The target mark of the walk.
    mark: Mark,
    /// The frames, leaf first.
    frames: Vec<PhysicalFrame>,
    /// `true` if each frame is above its callee. It is `false` if the stack was switched, for example to a larger stack
    /// for deep recursion, or to the stack of a coroutine.
    is_ordered: bool,
    reach: Reach,
}

impl StackWalk {
    fn new() -> Self {
        Self {
            recorder_mark: None,
            mark: Mark::NOWHERE,
            frames: Vec::new(),
            is_ordered: true,
            reach: Reach::Lost,
        }
    }

    fn check_order(&mut self) {
        self.is_ordered = self.frames.is_sorted_by_key(|frame| frame.sp);
    }

    /// Returns the call path from the task at `mark` to the leaf, past the marks of `scopes`.
    fn call_path<'a>(&self, mark: Mark, scopes: impl ScopeIter<'a>) -> CallPath {
        // Leaf first, as they were walked. The frames above the mark belong to the tasks around.
        let frames = &self.frames[..self.count_below(mark)];
        let missing = match self.reach {
            _ if frames.len() < self.frames.len() => None,
            Reach::Mark => None,
            Reach::Limit => Some(Step::Cut),
            Reach::End | Reach::Lost => Some(Step::Lost),
        };
        let mut steps = Vec::with_capacity(frames.len() + 1);
        let mut scopes = scopes
            .map(|scope| (scope.mark, self.count_below(scope.mark)))
            .peekable();
        steps.extend(scopes.next_if(|(at, _)| *at == mark).map(|_| Step::Mark));
        if missing.is_some() {
            // The functions of these scopes are among the missing frames.
            while scopes.next_if(|(at, _)| !self.passes(*at)).is_some() {
                steps.push(Step::Mark);
            }
        }
        steps.extend(missing);
        let callees = self.count_callees();
        for (at, frame) in frames.iter().enumerate().skip(callees).rev() {
            steps.push(Step::Ip(frame.ip));
            while scopes.next_if(|(_, below)| *below > at).is_some() {
                steps.push(Step::Mark);
            }
        }
        steps.extend(scopes.map(|_| Step::Mark));
        CallPath::new(steps)
    }

    /// Counts the frames, from the leaf on, of functions that the recording function has called.
    fn count_callees(&self) -> usize {
        let is_in = |frame: &&PhysicalFrame| {
            self.recorder_mark
                .is_some_and(|recorder| recorder.is_above(**frame))
        };
        // The last of these frames is that of the recording function itself.
        self.frames
            .iter()
            .take_while(is_in)
            .count()
            .saturating_sub(1)
    }

    /// Returns `true` if the walked part of the stack has the marked function.
    fn passes(&self, mark: Mark) -> bool {
        if mark == self.mark {
            return self.reach == Reach::Mark;
        }
        let last = self.count_to_closest(mark).checked_sub(1);
        let distance = last.and_then(|last| mark.distance(self.frames[last].sp));
        distance.is_some_and(|distance| distance <= MAX_MARKED_FRAME)
    }

    /// Counts the frames, from the leaf on, that are below the mark. Counts all frames if the marked function is among
    /// the missing frames.
    fn count_below(&self, mark: Mark) -> usize {
        match self.reach {
            Reach::Limit | Reach::End | Reach::Lost if !self.passes(mark) => self.frames.len(),
            _ => self.count_to_closest(mark),
        }
    }

    /// Counts the frames, from the leaf on, up to the frame that is closest below the mark.
    fn count_to_closest(&self, mark: Mark) -> usize {
        let frames = &self.frames;
        if self.is_ordered {
            return frames.partition_point(|frame| mark.is_above(*frame));
        }
        // The walk may have passed the address of the mark several times, on different stacks. It was on the stack of
        // the mark when it came closest.
        let passes = |at: &usize| {
            let above = frames.get(at + 1);
            mark.is_above(frames[*at]) && above.is_none_or(|above| !mark.is_above(*above))
        };
        (0..frames.len())
            .filter(passes)
            .min_by_key(|at| mark.distance(frames[*at].sp))
            .map_or(frames.len(), |at| at + 1)
    }
}
