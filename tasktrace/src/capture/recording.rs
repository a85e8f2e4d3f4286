//! The recording of one capture: stacks, and the tasks and frames that are polled on them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::live::{Live, Marker, Numbers};
use super::stack::{LeafKind, Stack};
use crate::sync::fork::get_or_init;
use crate::unwind::{Step, Way};

/// The limits of one capture: 16 MiB of addresses, and as many leaves as a reader could want.
pub(super) const MOST_ENTRIES: usize = 1 << 20;
const MOST_STACKS: usize = 1 << 16;

/// Up to this number of markers, a search is faster than a map.
const FEW: usize = 16;

/// The stacks of a capture, without the frames that are alive at its end.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    /// In the order in which they were recorded.
    pub(super) stacks: Vec<Stack>,
    /// The tasks and frames on the stacks, each once.
    pub(super) markers: Vec<Marker>,
    /// The positions of the markers of each stack, from the root on, one stack after the other.
    pub(super) polls: Vec<u32>,
    /// The number of leaves that were not recorded for want of room.
    pub(super) dropped: usize,
    /// The number of wakers that other threads have cloned. There is no stack of those.
    pub(super) elsewhere: usize,
    /// The number of steps of all stacks.
    length: usize,
    /// The positions of the markers by task and key. Empty while there are few.
    known: BTreeMap<(u64, u64), usize>,
}

thread_local! {
    /// A recording whose buffers are used again: without it, a capture of ten frames allocates ten times.
    static SPARE: Cell<Option<Box<Recording>>> = const { Cell::new(None) };
}

/// The capacity of each buffer that is kept: of stacks, markers and positions.
const MOST_KEPT: usize = 1 << 10;

impl Recording {
    /// Returns an empty recording.
    pub(super) fn take() -> Box<Self> {
        SPARE
            .try_with(Cell::take)
            .ok()
            .flatten()
            .unwrap_or_default()
    }

    /// Keeps the buffers for the next one.
    pub(super) fn give_back(mut self: Box<Self>) {
        self.stacks.clear();
        self.stacks.shrink_to(MOST_KEPT);
        self.markers.clear();
        self.markers.shrink_to(MOST_KEPT);
        self.polls.clear();
        self.polls.shrink_to(MOST_KEPT);
        self.known.clear();
        (self.dropped, self.elsewhere, self.length) = (0, 0, 0);
        let _ = SPARE.try_with(|place| place.set(Some(self)));
    }

    /// Returns the number of steps that the next stack may have.
    pub(super) fn room(&self) -> usize {
        MOST_ENTRIES - self.length.min(MOST_ENTRIES)
    }

    /// Returns `true` if something has woken the task in the middle of its poll: then a frame that was not polled may be
    /// polled in the next one.
    pub(crate) fn has_more_to_do(&self) -> bool {
        let mut stacks = self.stacks.iter();
        stacks.any(|stack| stack.kind == LeafKind::Woken)
    }

    /// Adds a stack, on which these are polled, from the root on.
    pub(super) fn push<'a>(
        &mut self,
        way: Arc<Way>,
        kind: LeafKind,
        polled: impl Iterator<Item = &'a Marker>,
    ) {
        if self.stacks.len() == MOST_STACKS || way.len() > self.room() {
            self.dropped += 1;
            return;
        }
        let start = self.polls.len();
        // The markers of one stack differ from each other, so one is looked for only among those of other stacks.
        let before = self.markers.len();
        for marker in polled {
            let position = self.position(marker, before);
            self.polls.push(position);
        }
        if let Some(last) = self.stacks.last_mut()
            && last.kind == kind
            && last.way == way
            && self.polls[last.polls..start] == self.polls[start..]
        {
            last.count += 1;
            self.polls.truncate(start);
            return;
        }
        self.length += way.len();
        self.stacks.push(Stack {
            way,
            polls: start,
            kind,
            count: 1,
        });
    }

    /// Returns the position of a marker, which is added unless it is one of the first `before`.
    fn position(&mut self, marker: &Marker, before: usize) -> u32 {
        let markers = &mut self.markers;
        let next = markers.len();
        let is_same = |known: &Marker| known.key == marker.key && known.task == marker.task;
        let position = match marker.key {
            None => next,
            Some(_) if before < FEW => {
                let known = markers[..before].iter().position(is_same);
                known.unwrap_or(next)
            }
            Some(key) => {
                if self.known.is_empty() {
                    let keys = markers.iter().enumerate();
                    let keys = keys.filter_map(|(at, known)| Some(((known.task, known.key?), at)));
                    self.known = keys.collect();
                }
                *self.known.entry((marker.task, key)).or_insert(next)
            }
        };
        if position == next {
            markers.push(marker.clone());
        }
        u32::try_from(position).unwrap_or(u32::MAX)
    }

    /// Forgets the stacks through frames that have ended in the meantime: nobody waits any more for what they waited for.
    /// So it is with the stacks that a `block_on` in the middle of the poll has left.
    pub(super) fn forget_ended(&mut self, task: &Marker, live: &[Live]) {
        let mut alive = Numbers::of(live);
        let mut has_ended = |marker: &Marker| {
            let key = marker
                .key
                .filter(|key| *key != 0 && marker.task == task.task);
            key.is_some_and(|key| alive.find(key).is_none())
        };
        if self.markers.iter().any(&mut has_ended) {
            let ended: Vec<bool> = self.markers.iter().map(has_ended).collect();
            let ends = self.stacks.iter().skip(1).map(|next| next.polls);
            let ends: Vec<usize> = ends.chain([self.polls.len()]).collect();
            let mut ends = ends.into_iter();
            let polls = &self.polls;
            self.stacks.retain(|stack| {
                let end = ends.next().unwrap_or(stack.polls);
                let mut polls = polls[stack.polls..end].iter();
                !polls.any(|at| ended.get(*at as usize) == Some(&true))
            });
        }
        if self.stacks.is_empty() && self.dropped + self.elsewhere == 0 {
            self.push(nowhere(), LeafKind::NoWaker, std::iter::once(task));
        }
    }
}

/// The way of a task that has registered no waker, and has polled no frame that could have.
fn nowhere() -> Arc<Way> {
    static NOWHERE: OnceLock<Arc<Way>> = OnceLock::new();
    let way = get_or_init(&NOWHERE, || Arc::new(Way::new(vec![Step::Mark])));
    Arc::clone(way)
}
