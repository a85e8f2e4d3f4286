//! The stacks of one capture, as return addresses.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::draft::{Draft, First};
use super::few::Few;
use super::live::{Around, Marker, Scopes, Surroundings, from};
use super::stack::{LeafKind, Polls, Stack};
use crate::origin::Origin;
use crate::unwind::{
    Interrupted, LARGEST_MARKED_FRAME, Mark, PhysicalFrame, Reach, Step, Walked, Walker, Way,
};

/// So many markers are found without a map.
const FEW: usize = 16;

/// The limits of one capture: 16 MiB of addresses, and as many leaves as a reader could want.
const MOST_ENTRIES: usize = 1 << 20;
const MOST_STACKS: usize = 1 << 16;

impl Recorder {
    fn push_first(&mut self, way: Arc<Way>, kind: LeafKind) {
        self.length += way.len();
        self.trace.form.stacks.push(Stack {
            way,
            polls: Polls::From(0),
            kind,
            count: 1,
        });
    }

    fn mark(&mut self, marker: &Marker) -> u32 {
        let markers = &mut self.trace.form.markers;
        let next = markers.len();
        let same = |known: &Marker| known.key == marker.key && known.task == marker.task;
        let index = match marker.key {
            None => next,
            // Most traces have few, and for these a map costs more than it saves.
            Some(_) if next < FEW => markers.iter().position(same).unwrap_or(next),
            Some(key) => {
                if self.known.is_empty() {
                    let keys = markers.iter().enumerate();
                    let keys = keys.filter_map(|(at, known)| Some(((known.task, known.key?), at)));
                    self.known = keys.collect();
                }
                *self.known.entry((marker.task, key)).or_insert(next)
            }
        };
        if index == next {
            markers.push(marker.clone());
        }
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// Walks from the function at `recording`, which has called this one, where this is being polled, to the
    /// task at `mark`. Returns its way, with the scopes on it.
    #[inline(never)]
    fn walk<'a>(
        &mut self,
        recording: Mark,
        mark: Mark,
        kind: LeafKind,
        alike: usize,
        scopes: impl Scopes<'a>,
    ) -> (Reach, Arc<Way>) {
        let room = MOST_ENTRIES - self.length.min(MOST_ENTRIES);
        let walk = &mut self.walk;
        let walker = self.walker.get_or_insert_with(|| {
            let mut walker = Walker::acquire();
            walk.frames = walker.take_buffer();
            walker
        });
        let marks = scopes.clone().map(|around| around.mark);
        match walker.walk_or_know(mark, marks.clone(), alike, room, &mut walk.frames) {
            Walked::Known(way) => (Reach::Mark, way),
            Walked::New(reach, course) => {
                walk.recording = Some(recording);
                walk.mark = mark;
                walk.reach = reach;
                walk.find_order();
                let way = Arc::new(walk.way(mark, kind, scopes));
                if let Some(course) = course {
                    walker.keep(course, marks, &way);
                }
                (reach, way)
            }
        }
    }

    fn push<'a>(&mut self, way: Arc<Way>, kind: LeafKind, scopes: impl Scopes<'a>) {
        self.trace.settle();
        let trace = &mut self.trace.form;
        if trace.stacks.len() == MOST_STACKS || self.length + way.len() > MOST_ENTRIES {
            trace.dropped += 1;
            return;
        }
        if trace.markers.is_empty() && trace.stacks.is_empty() {
            // Those of one stack are different from each other.
            let markers = scopes.clone().map(|around| around.marker.clone());
            trace.markers = Few::from((scopes.count(), markers));
            self.push_first(way, kind);
            return;
        }
        let mut scopes = scopes.map(|around| &around.marker);
        let first = scopes.next().map_or(0, |marker| self.mark(marker));
        let mut next = first;
        let start = self.trace.form.polls.len();
        let mut is_listed = false;
        for marker in scopes {
            let number = self.mark(marker);
            let expected = next.saturating_add(1);
            if !is_listed && number != expected {
                is_listed = true;
                self.trace.form.polls.extend(first..=next);
            }
            if is_listed {
                self.trace.form.polls.push(number);
            }
            next = number;
        }
        let polls = match is_listed {
            true => Polls::Listed(start),
            false => Polls::From(first),
        };
        let stack = Stack {
            way,
            polls,
            kind,
            count: 1,
        };
        let is_same = |last: &&mut Stack| {
            last.kind == kind
                && (Arc::ptr_eq(&last.way, &stack.way) || last.way == stack.way)
                && is_same(&self.trace.form.polls, last.polls, polls, &stack.way)
        };
        match self.trace.form.stacks.last_mut().filter(is_same) {
            Some(last) => {
                last.count += 1;
                self.trace.form.polls.truncate(start);
            }
            None => {
                self.length += stack.way.len();
                self.trace.form.stacks.push(stack);
            }
        }
    }
}

/// Whether the markers of a way are the same.
fn is_same(listed: &[u32], one: Polls, other: Polls, way: &Way) -> bool {
    match (one, other) {
        (Polls::From(one), Polls::From(other)) => one == other,
        (Polls::Listed(one), Polls::Listed(other)) => {
            let length = way.iter().filter(|step| **step == Step::Mark).count();
            listed[one..one + length] == listed[other..other + length]
        }
        _ => false,
    }
}

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

/// A trace in the making.
pub(super) struct Recorder {
    walker: Option<Walker>,
    walk: Walk,
    trace: Box<Draft>,
    /// How many entries all stacks have.
    length: usize,
    /// Where in the markers of the trace that of a frame of a task is.
    /// Empty while there are few.
    known: BTreeMap<(u64, u64), usize>,
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self {
            walker: None,
            walk: Walk::new(),
            trace: Box::default(),
            length: 0,
            known: BTreeMap::new(),
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

    /// Records the stack that was walked last, from the task at `mark` on, as a trace of its own.
    pub(super) fn record_interrupted(&mut self, mark: Mark, surroundings: &[Around]) -> Draft {
        let scopes = from(mark, surroundings);
        let kind = LeafKind::Sampled;
        let way = Arc::new(self.walk.way(mark, kind, scopes.clone()));
        self.push(way, kind, scopes);
        self.known.clear();
        self.length = 0;
        std::mem::take(&mut *self.trace)
    }

    /// Records the stack of the function at `recording`, from the task at `mark` on.
    pub(super) fn record(
        &mut self,
        recording: Mark,
        mark: Mark,
        kind: LeafKind,
        surroundings: &[Around],
    ) {
        let scopes = from(mark, surroundings);
        let alike = kind_of(surroundings);
        let (_, way) = self.walk(recording, mark, kind, alike, scopes.clone());
        self.push(way, kind, scopes);
    }

    /// As `record`, if it is the first stack: then what is around it is taken. Whether it was.
    pub(super) fn record_first(
        &mut self,
        recording: Mark,
        mark: Mark,
        kind: LeafKind,
        surroundings: &mut Surroundings,
    ) -> bool {
        let is_first = self.trace.form.stacks.is_empty() && self.trace.form.markers.is_empty();
        if !is_first {
            return false;
        }
        let alike = kind_of(surroundings);
        let (_, way) = self.walk(recording, mark, kind, alike, from(mark, surroundings));
        if way.len() > MOST_ENTRIES {
            return false;
        }
        self.push_first(way, kind);
        self.trace.first = Some(First {
            surroundings: std::mem::take(surroundings),
            mark,
        });
        true
    }

    /// As `record`, of a task around another that is being captured, if it is on this stack: see
    /// [`CaptureRef`](super::CaptureRef).
    pub(super) fn record_around(
        &mut self,
        recording: Mark,
        mark: Mark,
        kind: LeafKind,
        surroundings: &[Around],
    ) {
        let scopes = from(mark, surroundings);
        let alike = kind_of(surroundings);
        let (reach, way) = self.walk(recording, mark, kind, alike, scopes.clone());
        if reach != Reach::Lost {
            self.push(way, kind, scopes);
        }
    }

    pub(super) fn finish(mut self) -> Box<Draft> {
        if let Some(walker) = self.walker.take() {
            walker.release(self.walk.frames);
        }
        self.trace
    }
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
