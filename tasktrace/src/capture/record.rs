//! The stacks of one capture, as return addresses.

use super::scope::Scope;
use crate::origin::Origin;
use crate::unwind::{Mark, PhysicalFrame, Reach, ReturnAddress, Walker};

/// What was recorded, in the order in which it was.
#[derive(Debug, Default)]
pub(crate) struct RawTrace {
    pub(crate) stacks: Vec<Stack>,
    /// All stacks one after the other, each from the root to the leaf.
    entries: Vec<Entry>,
    /// What [`Entry::Marker`] refers to.
    markers: Vec<Origin>,
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Entry {
    Ip(ReturnAddress),
    /// A task or a frame whose poll is in the function of the entry before. An index.
    Marker(u32),
    /// Here frames are missing: the stack was deeper than the limit.
    Cut,
}

/// The limits of one capture: 16 MiB of addresses, and as many leaves as a reader could want.
const MOST_ENTRIES: usize = 1 << 20;
const MOST_STACKS: usize = 1 << 16;

impl RawTrace {
    pub(crate) fn entries(&self, stack: Stack) -> &[Entry] {
        &self.entries[stack.start..stack.end]
    }

    pub(crate) fn marker(&self, index: u32) -> Option<Origin> {
        self.markers.get(index as usize).copied()
    }

    pub(crate) fn markers(&self) -> &[Origin] {
        &self.markers
    }

    fn mark(&mut self, origin: Origin) -> Entry {
        let index = self.markers.iter().position(|marker| marker.is(origin));
        let index = index.unwrap_or_else(|| {
            self.markers.push(origin);
            self.markers.len() - 1
        });
        Entry::Marker(u32::try_from(index).unwrap_or(u32::MAX))
    }

    fn push(&mut self, walk: &Walk, mark: Mark, kind: LeafKind, scopes: &[(Mark, Origin)]) {
        // Leaf first, as they were walked; those above the mark belong to the tasks around.
        let frames = &walk.frames[..walk.below(mark)];
        let whole = walk.reach == Reach::Mark || frames.len() < walk.frames.len();
        if self.stacks.len() == MOST_STACKS || self.entries.len() + frames.len() > MOST_ENTRIES {
            self.dropped += 1;
            return;
        }

        let start = self.entries.len();
        self.entries.reserve(frames.len() + scopes.len() + 1);
        let mut scopes = scopes
            .iter()
            .rev()
            .map(|(at, origin)| (*at, walk.below(*at), origin))
            .peekable();
        let root = scopes.next_if(|(at, ..)| *at == mark);
        if let Some((.., origin)) = root {
            let marker = self.mark(*origin);
            self.entries.push(marker);
        }
        if !whole {
            self.entries.push(Entry::Cut);
        }
        for (at, frame) in frames.iter().enumerate().rev() {
            self.entries.push(Entry::Ip(frame.ip));
            while let Some((.., origin)) = scopes.next_if(|(_, below, _)| *below > at) {
                let marker = self.mark(*origin);
                self.entries.push(marker);
            }
        }
        for (.., origin) in scopes {
            let marker = self.mark(*origin);
            self.entries.push(marker);
        }

        match self.stacks.last_mut() {
            Some(last)
                if last.kind == kind
                    && self.entries[last.start..last.end] == self.entries[start..] =>
            {
                last.count += 1;
                self.entries.truncate(start);
            }
            _ => self.stacks.push(Stack {
                start,
                end: self.entries.len(),
                kind,
                count: 1,
            }),
        }
    }
}

/// The result of the last walk.
struct Walk {
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
            frames: Vec::new(),
            ordered: true,
            reach: Reach::Lost,
        }
    }

    /// How many frames, from the leaf on, are below the mark.
    fn below(&self, mark: Mark) -> usize {
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
    leaves: usize,
    trace: RawTrace,
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self {
            walker: None,
            walk: Walk::new(),
            leaves: 0,
            trace: RawTrace::default(),
        }
    }

    /// How many leaves have been recorded, or would have been.
    pub(super) fn leaves(&self) -> usize {
        self.leaves
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
        self.walk.reach = walker.walk(mark, room, &mut self.walk.frames);
        self.walk.ordered = self.walk.frames.is_sorted_by_key(|frame| frame.sp);
    }

    /// Records the stack that was walked last, from the task at `mark` on, for a leaf in `scope`.
    pub(super) fn record(&mut self, mark: Mark, kind: LeafKind, scope: Option<&Scope<'_>>) {
        self.leaves += 1;
        let scopes = scopes_up_to(mark, scope);
        self.trace.push(&self.walk, mark, kind, &scopes);
    }

    /// As `record`, with the stack that `other` walked last.
    pub(super) fn record_walked_by(
        &mut self,
        other: &Self,
        mark: Mark,
        kind: LeafKind,
        scope: Option<&Scope<'_>>,
    ) {
        self.leaves += 1;
        let scopes = scopes_up_to(mark, scope);
        self.trace.push(&other.walk, mark, kind, &scopes);
    }

    /// Records that the task in `scope` registered no waker at all.
    pub(super) fn record_silent_task(&mut self, scope: &Scope<'_>) {
        self.walk = Walk {
            reach: Reach::Mark,
            ..Walk::new()
        };
        self.record(scope.mark(), LeafKind::NoWaker, Some(scope));
    }

    pub(super) fn finish(mut self) -> RawTrace {
        if let Some(walker) = self.walker.take() {
            walker.release(self.walk.frames);
        }
        self.trace
    }
}

/// The scopes from `scope` (the innermost of this thread, if not given) up to the one at `mark`,
/// from the inside out.
fn scopes_up_to(mark: Mark, scope: Option<&Scope<'_>>) -> Vec<(Mark, Origin)> {
    let collect = |scope: &Scope<'_>| {
        let mut scopes = Vec::new();
        for scope in scope.outwards() {
            scopes.push((scope.mark(), scope.origin()));
            if scope.mark() == mark {
                break;
            }
        }
        scopes
    };
    match scope {
        Some(scope) => collect(scope),
        None => Scope::with_current(|scope| Some(collect(scope))).unwrap_or_default(),
    }
}
