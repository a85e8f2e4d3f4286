//! The stacks of one capture, as return addresses.

use std::collections::{BTreeMap, HashSet};

use super::live::{Around, Live, Marker};
use crate::unwind::{
    Interrupted, LARGEST_MARKED_FRAME, Mark, PhysicalFrame, Reach, ReturnAddress, Walker,
};

/// What was recorded, in the order in which it was.
#[derive(Debug, Default)]
pub(crate) struct RawTrace {
    pub(crate) stacks: Vec<Stack>,
    /// All stacks one after the other, each from the root to the leaf.
    entries: Vec<Entry>,
    /// What [`Entry::Marker`] refers to.
    markers: Vec<Marker>,
    /// The number of the task that this is of.
    pub(crate) task: u64,
    /// The frames of the task that were alive when the capture ended, or when the snapshot was
    /// taken, if it is one: then there are no stacks.
    pub(crate) live: Vec<Live>,
    /// Leaves that were not recorded for want of room.
    pub(crate) dropped: usize,
    /// Wakers that other threads cloned, of whom there is no stack.
    pub(crate) elsewhere: usize,
}

/// A way from the root of the task to a leaf.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack {
    start: usize,
    end: usize,
    pub(crate) kind: LeafKind,
    /// How many leaves in a row had just this stack.
    pub(crate) count: usize,
}

/// Why a stack was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum LeafKind {
    /// A waker was cloned: this is waited for.
    Registered,
    /// The task was woken by reference: it will be polled again at once.
    Woken,
    /// It returned `Pending`, but has no waker registered.
    NoWaker,
    /// Somebody asked from here.
    Here,
    /// The thread was interrupted here.
    Sampled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Entry {
    Ip(ReturnAddress),
    /// A task or a frame whose poll is in the function of the entry before. An index.
    Marker(u32),
    /// Here frames are missing: the stack was deeper than the limit.
    Cut,
    /// Here frames are missing: the stack could not be followed.
    Lost,
}

/// So many markers are found without a map.
const FEW: usize = 16;

/// The limits of one capture: 16 MiB of addresses, and as many leaves as a reader could want.
const MOST_ENTRIES: usize = 1 << 20;
const MOST_STACKS: usize = 1 << 16;

impl RawTrace {
    pub(crate) fn entries(&self, stack: Stack) -> &[Entry] {
        &self.entries[stack.start..stack.end]
    }

    /// A trace of live frames, of which nothing was polled.
    pub(crate) fn snapshot(task: Marker, live: Vec<Live>) -> Self {
        Self {
            task: task.task,
            markers: vec![task],
            live,
            ..Self::default()
        }
    }

    /// Completes a capture with the frames that are alive at its end.
    ///
    /// Stacks through frames that have ended in the meantime are forgotten: what these had waited
    /// for nobody waits for any more. So it is with whatever a `block_on` in the middle of the poll
    /// has run.
    pub(crate) fn complete(&mut self, task: Marker, live: Vec<Live>) {
        let alive: HashSet<u64> = live.iter().map(|live| live.key).collect();
        let has_ended = |marker: &Marker| {
            let key = marker
                .key
                .filter(|key| *key != 0 && marker.task == task.task);
            key.is_some_and(|key| !alive.contains(&key))
        };
        let ended: Vec<bool> = self.markers.iter().map(has_ended).collect();
        if ended.contains(&true) {
            let entries = &self.entries;
            self.stacks.retain(|stack| {
                let mut entries = entries[stack.start..stack.end].iter();
                !entries.any(|entry| matches!(entry, Entry::Marker(at) if ended[*at as usize]))
            });
        }
        if self.stacks.is_empty() && self.dropped + self.elsewhere == 0 {
            let (start, end) = (self.entries.len(), self.entries.len() + 1);
            self.entries.push(Entry::Marker(
                u32::try_from(self.markers.len()).unwrap_or(u32::MAX),
            ));
            self.markers.push(task.clone());
            self.stacks.push(Stack {
                start,
                end,
                kind: LeafKind::NoWaker,
                count: 1,
            });
        }
        self.task = task.task;
        self.live = live;
    }

    /// What was recorded when a thread was interrupted, with the frames that are alive. Those of the
    /// stack may not be among them: they go on.
    pub(crate) fn with_live(self, task: u64, live: Vec<Live>) -> Self {
        Self { task, live, ..self }
    }

    pub(crate) fn marker(&self, index: u32) -> Option<&Marker> {
        self.markers.get(index as usize)
    }

    pub(crate) fn markers(&self) -> &[Marker] {
        &self.markers
    }
}

impl Recorder {
    fn mark(&mut self, marker: &Marker) -> Entry {
        let markers = &mut self.trace.markers;
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
        Entry::Marker(u32::try_from(index).unwrap_or(u32::MAX))
    }

    fn push(&mut self, walk: &Walk, mark: Mark, kind: LeafKind, scopes: &[&Around]) {
        // Leaf first, as they were walked; those above the mark belong to the tasks around.
        let frames = &walk.frames[..walk.below(mark)];
        let missing = match walk.reach {
            _ if frames.len() < walk.frames.len() => None,
            Reach::Mark => None,
            Reach::End | Reach::Lost if kind == LeafKind::Sampled => Some(Entry::Lost),
            Reach::Limit | Reach::End | Reach::Lost => Some(Entry::Cut),
        };
        if self.trace.stacks.len() == MOST_STACKS
            || self.trace.entries.len() + frames.len() > MOST_ENTRIES
        {
            self.trace.dropped += 1;
            return;
        }

        let start = self.trace.entries.len();
        self.trace.entries.reserve(frames.len() + scopes.len() + 1);
        let mut scopes = scopes
            .iter()
            .rev()
            .map(|around| (around.mark, walk.below(around.mark), &around.marker))
            .peekable();
        let root = scopes.next_if(|(at, ..)| *at == mark);
        if let Some((.., marker)) = root {
            let marker = self.mark(marker);
            self.trace.entries.push(marker);
        }
        if missing.is_some() {
            // Those whose functions are among the frames that are missing.
            while let Some((.., marker)) = scopes.next_if(|(at, ..)| !walk.passes(*at)) {
                let marker = self.mark(marker);
                self.trace.entries.push(marker);
            }
        }
        self.trace.entries.extend(missing);
        for (at, frame) in frames.iter().enumerate().rev() {
            self.trace.entries.push(Entry::Ip(frame.ip));
            while let Some((.., marker)) = scopes.next_if(|(_, below, _)| *below > at) {
                let marker = self.mark(marker);
                self.trace.entries.push(marker);
            }
        }
        for (.., marker) in scopes {
            let marker = self.mark(marker);
            self.trace.entries.push(marker);
        }

        let RawTrace {
            stacks, entries, ..
        } = &mut self.trace;
        match stacks.last_mut() {
            Some(last)
                if last.kind == kind && entries[last.start..last.end] == entries[start..] =>
            {
                last.count += 1;
                entries.truncate(start);
            }
            _ => stacks.push(Stack {
                start,
                end: entries.len(),
                kind,
                count: 1,
            }),
        }
    }
}

/// The result of the last walk.
struct Walk {
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
            mark: Mark::NOWHERE,
            frames: Vec::new(),
            ordered: true,
            reach: Reach::Lost,
        }
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
    trace: RawTrace,
    /// Where in the markers of the trace that of a frame of a task is.
    /// Empty while there are few.
    known: BTreeMap<(u64, u64), usize>,
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self {
            walker: None,
            walk: Walk::new(),
            trace: RawTrace::default(),
            known: BTreeMap::new(),
        }
    }

    /// Walks from the caller up to `mark`.
    #[inline(never)]
    pub(super) fn walk(&mut self, mark: Mark) {
        let room = MOST_ENTRIES - self.trace.entries.len().min(MOST_ENTRIES);
        let walker = self.walker.get_or_insert_with(|| {
            let mut walker = Walker::acquire();
            self.walk.frames = walker.take_buffer();
            walker
        });
        self.walk.mark = mark;
        self.walk.reach = walker.walk(mark, room, &mut self.walk.frames);
        self.walk.ordered = self.walk.frames.is_sorted_by_key(|frame| frame.sp);
    }

    /// Walks the stack of a thread that was interrupted, up to `mark` or as far as it can be
    /// followed.
    pub(super) fn walk_interrupted(&mut self, thread: &Interrupted<'_>, mark: Mark) {
        let mut walker = Walker::acquire();
        let frames = &mut self.walk.frames;
        self.walk.mark = mark;
        self.walk.reach = walker.walk_interrupted(thread, mark, MOST_ENTRIES, frames);
        self.walk.ordered = frames.is_sorted_by_key(|frame| frame.sp);
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

    /// As `record`, as a trace of its own.
    pub(super) fn record_alone(
        &mut self,
        mark: Mark,
        kind: LeafKind,
        surroundings: &[Around],
    ) -> RawTrace {
        self.record(mark, kind, surroundings);
        self.known.clear();
        std::mem::take(&mut self.trace)
    }

    /// Records the stack that was walked last, from the task at `mark` on.
    pub(super) fn record(&mut self, mark: Mark, kind: LeafKind, surroundings: &[Around]) {
        let walk = std::mem::replace(&mut self.walk, Walk::new());
        self.record_walk(&walk, mark, kind, surroundings);
        self.walk = walk;
    }

    /// As `record`, with the stack that `other` walked last.
    pub(super) fn record_walked_by(
        &mut self,
        other: &Self,
        mark: Mark,
        kind: LeafKind,
        surroundings: &[Around],
    ) {
        // It is not on this stack, or not any more: see `CaptureRef`.
        if other.walk.reach == Reach::Lost {
            return;
        }
        self.record_walk(&other.walk, mark, kind, surroundings);
    }

    fn record_walk(&mut self, walk: &Walk, mark: Mark, kind: LeafKind, surroundings: &[Around]) {
        self.push(walk, mark, kind, &up_to(mark, surroundings));
    }

    pub(super) fn finish(mut self) -> RawTrace {
        if let Some(walker) = self.walker.take() {
            walker.release(self.walk.frames);
        }
        self.trace
    }
}

/// The part that belongs to the task at `mark`, from the inside out.
fn up_to(mark: Mark, surroundings: &[Around]) -> Vec<&Around> {
    let end = surroundings.iter().position(|around| around.mark == mark);
    let part = &surroundings[..end.map_or(surroundings.len(), |end| end + 1)];
    let is_shown = |around: &&Around| around.mark == mark || !around.is_also_frame;
    part.iter().filter(is_shown).collect()
}
