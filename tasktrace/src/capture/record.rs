//! The stacks of one capture, as return addresses.

use std::sync::Arc;

use super::live::{Around, Scopes, from};
use super::recording::{MOST_ENTRIES, Recording};
use super::stack::LeafKind;
use crate::origin::Origin;
use crate::unwind::{
    Interrupted, LARGEST_MARKED_FRAME, Mark, PhysicalFrame, Reach, Step, Walked, Walker, Way,
};

/// The result of the last walk.
struct Walk {
    /// The function that records, on the stack that was walked. Its callees are not kept: they are how
    /// it is done. `None` if no function of ours was there to record.
    recording: Option<Mark>,
    /// To where it was to go.
    mark: Mark,
    /// Leaf first.
    frames: Vec<PhysicalFrame>,
    /// Whether each frame is above its callee. It is not where the stack was switched: to a larger
    /// one for deep recursion, to that of a coroutine.
    ordered: bool,
    reach: Reach,
}

impl Walk {
    fn new() -> Self {
        Self {
            recording: None,
            mark: Mark::NOWHERE,
            frames: Vec::new(),
            ordered: true,
            reach: Reach::Lost,
        }
    }

    fn find_order(&mut self) {
        self.ordered = self.frames.is_sorted_by_key(|frame| frame.sp);
    }

    fn way<'a>(&self, mark: Mark, kind: LeafKind, scopes: impl Scopes<'a>) -> Way {
        // Leaf first, as they were walked; those above the mark belong to the tasks around.
        let frames = &self.frames[..self.below(mark)];
        let missing = match self.reach {
            _ if frames.len() < self.frames.len() => None,
            Reach::Mark => None,
            Reach::End | Reach::Lost if kind == LeafKind::Sampled => Some(Step::Lost),
            Reach::Limit | Reach::End | Reach::Lost => Some(Step::Cut),
        };
        let mut steps = Vec::with_capacity(frames.len() + 1);
        let mut scopes = scopes
            .map(|around| (around.mark, self.below(around.mark)))
            .peekable();
        steps.extend(scopes.next_if(|(at, _)| *at == mark).map(|_| Step::Mark));
        if missing.is_some() {
            // Those whose functions are among the frames that are missing.
            while scopes.next_if(|(at, _)| !self.passes(*at)).is_some() {
                steps.push(Step::Mark);
            }
        }
        steps.extend(missing);
        let callees = self.callees();
        for (at, frame) in frames.iter().enumerate().skip(callees).rev() {
            steps.push(Step::Ip(frame.ip));
            while scopes.next_if(|(_, below)| *below > at).is_some() {
                steps.push(Step::Mark);
            }
        }
        steps.extend(scopes.map(|_| Step::Mark));
        Way::new(steps)
    }

    /// How many frames, from the leaf on, are of functions that the one that records has called.
    fn callees(&self) -> usize {
        let is_in = |frame: &&PhysicalFrame| {
            self.recording
                .is_some_and(|recording| recording.is_above(**frame))
        };
        // The last of these is its own.
        self.frames
            .iter()
            .take_while(is_in)
            .count()
            .saturating_sub(1)
    }

    /// Whether the marked function is on the stack, as far as that is known.
    fn passes(&self, mark: Mark) -> bool {
        if mark == self.mark {
            return self.reach == Reach::Mark;
        }
        let last = self.closest(mark).checked_sub(1);
        let distance = last.and_then(|last| mark.distance(self.frames[last].sp));
        distance.is_some_and(|distance| distance <= LARGEST_MARKED_FRAME)
    }

    /// How many frames, from the leaf on, are below the mark. All that are known, if the marked function
    /// is among those that are missing.
    fn below(&self, mark: Mark) -> usize {
        match self.reach {
            Reach::Limit | Reach::End | Reach::Lost if !self.passes(mark) => self.frames.len(),
            _ => self.closest(mark),
        }
    }

    fn closest(&self, mark: Mark) -> usize {
        let frames = &self.frames;
        if self.ordered {
            return frames.partition_point(|frame| mark.is_above(*frame));
        }
        // The walk may have passed the address several times on its way from stack to stack. It
        // was on the stack of the mark when it came closest.
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

/// Walks the stacks of a capture, and records them.
pub(super) struct Recorder {
    walker: Option<Walker>,
    walk: Walk,
    recording: Box<Recording>,
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self {
            walker: None,
            walk: Walk::new(),
            recording: Recording::take(),
        }
    }

    /// Records the stack of the function at `recording`, which has called this one, from the task at `mark` on.
    #[inline(never)]
    pub(super) fn record(
        &mut self,
        recording: Mark,
        mark: Mark,
        kind: LeafKind,
        surroundings: &[Around],
        lost: Lost,
    ) {
        let scopes = from(mark, surroundings);
        let walk = &mut self.walk;
        let walker = self.walker.get_or_insert_with(|| {
            let mut walker = Walker::acquire();
            walk.frames = walker.take_buffer();
            walker
        });
        let marks = scopes.clone().map(|around| around.mark);
        let (alike, room) = (kind_of(surroundings), self.recording.room());
        let walked = walker.walk_or_know(mark, marks.clone(), alike, room, &mut walk.frames);
        let (reach, way) = match walked {
            Walked::Known(way) => (Reach::Mark, way),
            Walked::New(reach, course) => {
                walk.recording = Some(recording);
                walk.mark = mark;
                walk.reach = reach;
                walk.find_order();
                let way = Arc::new(walk.way(mark, kind, scopes.clone()));
                if let Some(course) = course {
                    walker.keep(course, marks, &way);
                }
                (reach, way)
            }
        };
        if reach != Reach::Lost || lost == Lost::Recorded {
            self.recording
                .push(way, kind, scopes.map(|around| &around.marker));
        }
    }

    /// Walks the stack of a thread that was interrupted, up to `mark` or as far as it can be
    /// followed.
    pub(super) fn walk_interrupted(&mut self, thread: &Interrupted<'_>, mark: Mark) {
        let mut walker = Walker::acquire();
        let frames = &mut self.walk.frames;
        self.walk.mark = mark;
        self.walk.reach = walker.walk_interrupted(thread, mark, MOST_ENTRIES, frames);
        self.walk.find_order();
        // It is not walked again for this trace, and others can use what the walker knows now.
        walker.release(Vec::new());
    }

    /// Of polls on the thread that was walked, those that are on its stack, as far as that is known.
    /// From the inside out.
    ///
    /// Others are not where a coroutine was suspended in the middle of a poll.
    pub(super) fn retain_walked<T>(&self, polls: &mut Vec<T>, mark: impl Fn(&T) -> Mark) {
        let is_complete = matches!(self.walk.reach, Reach::Mark | Reach::End);
        let passed = polls.iter().rposition(|poll| self.walk.passes(mark(poll)));
        // Where frames are missing, those that are further out may be among them.
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

    /// Returns the stack that was walked last, from the task at `mark` on.
    pub(super) fn interrupted(&self, mark: Mark, surroundings: &[Around]) -> Box<Recording> {
        let scopes = from(mark, surroundings);
        let kind = LeafKind::Sampled;
        let way = Arc::new(self.walk.way(mark, kind, scopes.clone()));
        let mut recording = Recording::take();
        recording.push(way, kind, scopes.map(|around| &around.marker));
        recording
    }

    pub(super) fn finish(mut self) -> Box<Recording> {
        if let Some(walker) = self.walker.take() {
            walker.release(self.walk.frames);
        }
        self.recording
    }
}

/// Says whether a stack that does not lead to the task is recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// The part that is known is recorded.
    Recorded,
    /// The task is not on this stack: see [`CaptureRef`](super::CaptureRef).
    LeftOut,
}

/// The same for what is polled alike: mostly by the same calls.
fn kind_of(surroundings: &[Around]) -> usize {
    let ends = [surroundings.first(), surroundings.last()];
    let origins = ends
        .into_iter()
        .flatten()
        .map(|around| around.marker.identity.origin());
    origins
        .flat_map(Origin::addresses)
        .fold(surroundings.len(), |kind, word| kind.rotate_left(11) ^ word)
}
