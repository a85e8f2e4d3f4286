//! Merges stacks into a tree.
//!
//! Two stacks share the frames at the same places, from the root on. Time and memory are linear in the size of the
//! stacks, and nothing recurses.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::frame::{Frame, FramePlace, FrameTimes, Wait};
use super::resource::Resource;

/// A builder of a tree of frames.
#[derive(Default)]
pub(super) struct TreeBuilder {
    nodes: Vec<TreeNode>,
    /// The index in `nodes` of the child of a node at a place. The roots are the children of `None`.
    index: HashMap<(Option<usize>, FramePlace), usize>,
    /// The index in `nodes` of the resource with a name that a node waits for. A resource is identified by its name
    /// because it may register its waker at several places.
    resources: HashMap<(Option<usize>, Arc<str>), usize>,
    /// The number of leaves of each resource for each call path from the resource to the place where it registered its
    /// waker.
    call_path_counts: HashMap<(usize, u64), usize>,
    /// The index in `nodes` of the live frame with a key.
    keys: HashMap<u64, usize>,
    /// The live frames from which the times of the nodes come.
    live_times: Vec<LiveTimes>,
}

/// A link from a frame of the tree to a live frame whose times it shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct LiveTimes {
    /// The frame of the tree. In a builder this is an index in `nodes`, and in a finished tree the position in the
    /// order of a walk.
    pub(super) at: usize,
    /// The number of the live frame.
    pub(super) live: usize,
    /// `true` if the frame also shows the time for which it was not polled.
    pub(super) is_held: bool,
}

/// The result of a [`TreeBuilder`].
pub(super) struct FinishedTree {
    pub(super) frames: Vec<Frame>,
    /// The live frames from which the times of the frames come, in the order of the frames.
    pub(super) live_times: Vec<LiveTimes>,
}

/// A frame of a tree that is being built.
struct TreeNode {
    parent: Option<usize>,
    place: FramePlace,
    wait: Option<Wait>,
    count: usize,
    is_resource: bool,
    times: FrameTimes,
}

impl TreeBuilder {
    /// Adds a frame of a stack below `parent`, and returns its index. `keys` are the keys of the live frames that it
    /// is.
    pub(super) fn add_frame(
        &mut self,
        parent: Option<usize>,
        place: FramePlace,
        keys: &[u64],
    ) -> usize {
        let at = self.child(parent, place);
        for key in keys {
            self.keys.entry(*key).or_insert(at);
        }
        at
    }

    /// Makes the frame at the index `at` a leaf, or adds the resource that it waits for as a leaf below it.
    pub(super) fn add_leaf(
        &mut self,
        at: Option<usize>,
        resource: Option<Resource>,
        wait: Wait,
        count: usize,
    ) {
        if let Some(Resource {
            place,
            wait,
            call_path,
        }) = resource
        {
            let at = self.resource(at, place);
            self.nodes[at].is_resource = true;
            let leaves = self.call_path_counts.entry((at, call_path)).or_default();
            *leaves += count;
            // A resource that registers wakers at two places has two call paths, but is counted once.
            let count = self.nodes[at].count.max(*leaves);
            self.nodes[at].note_wait(wait, count);
        } else if let Some(at) = at {
            let count = self.nodes[at].count + count;
            self.nodes[at].note_wait(wait, count);
        }
    }

    /// Returns the index of the live frame with this key, if it has been added.
    pub(super) fn find(&self, key: u64) -> Option<usize> {
        self.keys.get(&key).copied()
    }

    /// Adds a live frame below `parent`, and returns its index.
    pub(super) fn add_live(&mut self, parent: Option<usize>, place: FramePlace, key: u64) -> usize {
        let at = self.child(parent, place);
        self.keys.insert(key, at);
        at
    }

    /// Returns `true` if the frame at the index `at` has a label, and `label` is another one.
    pub(super) fn has_other_label(&self, at: usize, label: Option<&str>) -> bool {
        let own = self.nodes[at].place.label.as_deref();
        own.is_some() && label.is_some() && own != label
    }

    /// Merges a live frame into its parent, the frame at the index `at`: both are shown as one frame.
    pub(super) fn join_live(&mut self, at: usize, place: FramePlace, key: u64) {
        let label = self.nodes[at].place.label.take().or(place.label);
        self.nodes[at].place = FramePlace { label, ..place };
        self.keys.insert(key, at);
    }

    /// Adds the frames of another trace below the frame at the index `at`.
    pub(super) fn graft(&mut self, at: usize, frames: &[Frame]) {
        let mut pending: Vec<(usize, &Frame)> = frames.iter().map(|frame| (at, frame)).collect();
        while let Some((parent, frame)) = pending.pop() {
            let at = self.child(Some(parent), frame.place.clone());
            self.nodes[at].is_resource = frame.is_resource;
            if let Some(wait) = frame.wait {
                let count = self.nodes[at].count + frame.count;
                self.nodes[at].note_wait(wait, count);
            }
            self.note_times(at, frame.times);
            pending.extend(frame.children.iter().map(|child| (at, child)));
        }
    }

    /// Adds a tree of frames without their labels and times.
    pub(super) fn add_anonymous(&mut self, frames: &[Frame]) {
        let mut pending: Vec<(Option<usize>, &Frame)> =
            frames.iter().map(|frame| (None, frame)).collect();
        while let Some((parent, frame)) = pending.pop() {
            let place = FramePlace {
                label: None,
                ..frame.place.clone()
            };
            let at = self.child(parent, place);
            self.nodes[at].is_resource |= frame.is_resource;
            if let Some(wait) = frame.wait {
                let count = self.nodes[at].count + frame.count;
                self.nodes[at].note_wait(wait, count);
            }
            pending.extend(frame.children.iter().map(|child| (Some(at), child)));
        }
    }

    /// Sets the wait of a live frame that is on no stack, and counts it as a leaf.
    pub(super) fn add_live_leaf(&mut self, at: usize, wait: Wait) {
        let count = self.nodes[at].count + 1;
        self.nodes[at].note_wait(wait, count);
    }

    /// Sets the times of a frame. If several live frames are at the same place, the longest times win.
    pub(super) fn note_times(&mut self, at: usize, times: FrameTimes) {
        let known = &mut self.nodes[at].times;
        known.age = known.age.max(times.age);
        known.not_polled_for = known.not_polled_for.max(times.not_polled_for);
    }

    /// Sets the times of a frame to those of the live frame with the number `live`, and records that link.
    pub(super) fn note_live_times(&mut self, at: usize, live: usize, times: FrameTimes) {
        self.note_times(at, times);
        self.live_times.push(LiveTimes {
            at,
            live,
            is_held: times.not_polled_for.is_some(),
        });
    }

    /// Returns the index of the child of `parent` at a place. Adds the child if there is none.
    fn child(&mut self, parent: Option<usize>, place: FramePlace) -> usize {
        let nodes = &mut self.nodes;
        *self
            .index
            .entry((parent, place))
            .or_insert_with_key(|(parent, place)| add_node(nodes, *parent, place.clone()))
    }

    /// Returns the index of the resource with the name of `place` that `parent` waits for. Adds it if there is none.
    ///
    /// The resource gets the first of the places at which it registered its waker.
    fn resource(&mut self, parent: Option<usize>, place: FramePlace) -> usize {
        let nodes = &mut self.nodes;
        let name = Arc::clone(&place.name);
        match self.resources.entry((parent, name)) {
            Entry::Vacant(entry) => *entry.insert(add_node(nodes, parent, place)),
            Entry::Occupied(entry) => {
                let known = &mut nodes[*entry.get()].place;
                if place < *known {
                    *known = place;
                }
                *entry.get()
            }
        }
    }

    /// Returns the tree. Children are in the order of their places in the source, because a `select!` polls its
    /// branches in random order.
    pub(super) fn finish(self) -> FinishedTree {
        let mut roots = Vec::new();
        let mut children: Vec<Vec<(usize, Frame)>> = Vec::new();
        children.resize_with(self.nodes.len(), Vec::new);
        // The indices of the children of each node, in the order of the tree.
        let mut numbers: Vec<Vec<usize>> = Vec::with_capacity(self.nodes.len());
        // A child is added after its parent, so the children come first from the back.
        for (at, node) in self.nodes.into_iter().enumerate().rev() {
            let (below, own) = sorted(std::mem::take(&mut children[at]));
            numbers.push(below);
            let frame = Frame {
                place: node.place,
                wait: node.wait,
                count: node.count,
                is_resource: node.is_resource,
                times: node.times,
                children: own,
            };
            match node.parent {
                Some(parent) => children[parent].push((at, frame)),
                None => roots.push((at, frame)),
            }
        }
        numbers.reverse();
        let (roots, frames) = sorted(roots);
        let mut live_times = self.live_times;
        if !live_times.is_empty() {
            let positions = positions(&roots, &numbers);
            for live_times in &mut live_times {
                live_times.at = positions[live_times.at];
            }
            live_times.sort_by_key(|live_times| live_times.at);
        }
        FinishedTree { frames, live_times }
    }
}

/// Sorts siblings by their places, and returns their indices and the frames.
fn sorted(mut siblings: Vec<(usize, Frame)>) -> (Vec<usize>, Vec<Frame>) {
    siblings.sort_by(|(_, one), (_, other)| one.place.cmp(&other.place));
    siblings.into_iter().unzip()
}

/// Returns the position in a walk of each frame, by its index. `children` has the indices of the children of each
/// frame.
fn positions(roots: &[usize], children: &[Vec<usize>]) -> Vec<usize> {
    let mut positions = vec![0; children.len()];
    let mut pending: Vec<usize> = roots.iter().rev().copied().collect();
    let mut position = 0;
    while let Some(at) = pending.pop() {
        positions[at] = position;
        position += 1;
        pending.extend(children[at].iter().rev());
    }
    positions
}

impl TreeNode {
    /// Sets the number of leaves, and the worst of their waits.
    fn note_wait(&mut self, wait: Wait, count: usize) {
        self.count = count;
        // A worse wait, such as one that cannot be woken, comes later in the order.
        self.wait = self.wait.max(Some(wait));
    }
}

/// Adds a node, and returns its index.
fn add_node(nodes: &mut Vec<TreeNode>, parent: Option<usize>, place: FramePlace) -> usize {
    nodes.push(TreeNode {
        parent,
        place,
        wait: None,
        count: 0,
        is_resource: false,
        times: FrameTimes::default(),
    });
    nodes.len() - 1
}
