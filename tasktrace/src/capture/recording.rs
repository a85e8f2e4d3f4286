//! Collects the stacks of one capture, and the tasks and frames that are polled on them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::snapshot::{FramePositions, FrameSnapshot, ScopeMarker};
use super::stack::{LeafKind, Stack};
use crate::sync::fork::get_or_init;
use crate::unwind::{CallPath, Step};

/// The largest number of steps in one capture: 16 MiB of addresses.
pub(super) const MAX_STEPS: usize = 1 << 20;
/// The largest number of stacks in one capture.
const MAX_STACKS: usize = 1 << 16;

/// Up to this number of markers, a search is faster than a map.
const MAX_SEARCHED: usize = 16;

/// The stacks of a capture, without the frames that are live at its end.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    /// The stacks, in the order in which they were recorded.
    pub(super) stacks: Vec<Stack>,
    /// The scope markers of the tasks and frames on the stacks, each once.
    pub(super) markers: Vec<ScopeMarker>,
    /// The positions of the markers of each stack, from the root on, one stack after the other.
    pub(super) marker_positions: Vec<u32>,
    /// The number of leaves that were not recorded because the recording was full.
    pub(super) dropped: usize,
    /// The number of wakers that other threads have cloned. Their stacks are not recorded.
    pub(super) remote_clones: usize,
    /// The number of steps of all stacks.
    length: usize,
    /// The positions of the markers by task and key. Empty while there are at most [`MAX_SEARCHED`] markers.
    known: BTreeMap<(u64, u64), usize>,
}

thread_local! {
    /// An empty recording whose buffers are reused. Without it, a capture of ten frames allocates ten times.
    static SPARE: Cell<Option<Box<Recording>>> = const { Cell::new(None) };
}

/// The largest capacity of each buffer that is kept: the stacks, the markers and their positions.
const MAX_KEPT: usize = 1 << 10;

impl Recording {
    /// Returns an empty recording, with the spare buffers of this thread.
    pub(super) fn take() -> Box<Self> {
        SPARE
            .try_with(Cell::take)
            .ok()
            .flatten()
            .unwrap_or_default()
    }

    /// Empties this recording and keeps its buffers for the next capture on this thread.
    pub(super) fn give_back(mut self: Box<Self>) {
        self.stacks.clear();
        self.stacks.shrink_to(MAX_KEPT);
        self.markers.clear();
        self.markers.shrink_to(MAX_KEPT);
        self.marker_positions.clear();
        self.marker_positions.shrink_to(MAX_KEPT);
        self.known.clear();
        (self.dropped, self.remote_clones, self.length) = (0, 0, 0);
        let _ = SPARE.try_with(|place| place.set(Some(self)));
    }

    /// Returns the number of steps that the next stack may have.
    pub(super) fn steps_left(&self) -> usize {
        MAX_STEPS - self.length.min(MAX_STEPS)
    }

    /// Returns `true` if the task was woken in the middle of its poll. Then the next poll may reach a frame that this
    /// one did not poll.
    pub(crate) fn was_woken(&self) -> bool {
        let mut stacks = self.stacks.iter();
        stacks.any(|stack| stack.kind == LeafKind::Woken)
    }

    /// Adds a stack. `polled` are the markers of the tasks and frames that are polled on it, from the root on.
    pub(super) fn push<'a>(
        &mut self,
        call_path: Arc<CallPath>,
        kind: LeafKind,
        polled: impl Iterator<Item = &'a ScopeMarker>,
    ) {
        if self.stacks.len() == MAX_STACKS || call_path.len() > self.steps_left() {
            self.dropped += 1;
            return;
        }
        let start = self.marker_positions.len();
        // The markers of one stack differ from each other, so each is looked up only among the markers of other stacks.
        let before = self.markers.len();
        for marker in polled {
            let position = self.find_or_insert(marker, before);
            self.marker_positions.push(position);
        }
        if let Some(last) = self.stacks.last_mut()
            && last.kind == kind
            && last.call_path == call_path
            && self.marker_positions[last.first_marker..start] == self.marker_positions[start..]
        {
            last.count += 1;
            self.marker_positions.truncate(start);
            return;
        }
        self.length += call_path.len();
        self.stacks.push(Stack {
            call_path,
            first_marker: start,
            kind,
            count: 1,
        });
    }

    /// Finds the position of a marker among the first `before` markers, or inserts the marker at the end. Returns its
    /// position.
    fn find_or_insert(&mut self, marker: &ScopeMarker, before: usize) -> u32 {
        let markers = &mut self.markers;
        let next = markers.len();
        let is_same = |known: &ScopeMarker| known.key == marker.key && known.task == marker.task;
        let position = match marker.key {
            None => next,
            Some(_) if before < MAX_SEARCHED => {
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

    /// Removes the stacks through frames that ended later in the same poll, because the task no longer waits at their
    /// leaves. A `block_on` in the middle of the poll leaves such stacks.
    pub(super) fn remove_ended(&mut self, task: &ScopeMarker, live: &[FrameSnapshot]) {
        let mut alive = FramePositions::of(live);
        let mut has_ended = |marker: &ScopeMarker| {
            let key = marker
                .key
                .filter(|key| *key != 0 && marker.task == task.task);
            key.is_some_and(|key| alive.find(key).is_none())
        };
        if self.markers.iter().any(&mut has_ended) {
            let ended: Vec<bool> = self.markers.iter().map(has_ended).collect();
            let ends = self.stacks.iter().skip(1).map(|next| next.first_marker);
            let ends: Vec<usize> = ends.chain([self.marker_positions.len()]).collect();
            let mut ends = ends.into_iter();
            let positions = &self.marker_positions;
            self.stacks.retain(|stack| {
                let end = ends.next().unwrap_or(stack.first_marker);
                let mut positions = positions[stack.first_marker..end].iter();
                !positions.any(|at| ended.get(*at as usize) == Some(&true))
            });
        }
        if self.stacks.is_empty() && self.dropped + self.remote_clones == 0 {
            self.push(task_only(), LeafKind::NoWaker, std::iter::once(task));
        }
    }
}

/// Returns the call path of a task that has registered no waker and polled no frame: it contains only the task's mark.
fn task_only() -> Arc<CallPath> {
    static TASK_ONLY: OnceLock<Arc<CallPath>> = OnceLock::new();
    let path = get_or_init(&TASK_ONLY, || Arc::new(CallPath::new(vec![Step::Mark])));
    Arc::clone(path)
}
