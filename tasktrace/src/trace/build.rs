//! Merging stacks into a tree.
//!
//! Two stacks share the frames from the root on that are at the same places. Time and memory are
//! linear in the size of what is added; nothing recurses.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::frame::{Frame, Place, Times, Wait};
use super::resource::Resource;

/// A tree in the making.
#[derive(Default)]
pub(super) struct Builder {
    nodes: Vec<Node>,
    /// Where in `nodes` the child of a node at a place is. The roots are the children of `None`.
    index: HashMap<(Option<usize>, Place), usize>,
    /// The same for resources, which are known by their names: one of them can register its waker
    /// in one place or another.
    resources: HashMap<(Option<usize>, Arc<str>), usize>,
    /// How often each way from a resource to where it registered its waker was seen.
    ways: HashMap<(usize, u64), usize>,
    /// Where the live frame with a key is.
    keys: HashMap<u64, usize>,
    /// Which live frames the times of a node are of.
    seen: Vec<Seen>,
}

/// A time of a frame is that of a live frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Which frame: its number, in the order in which they were added, and in a finished tree that in
    /// the order of a walk.
    pub(super) at: usize,
    /// The number of the live frame.
    pub(super) live: usize,
    /// Whether it is also told for how long it was not polled.
    pub(super) is_held: bool,
}

/// A tree that is finished.
pub(super) struct Finished {
    pub(super) frames: Vec<Frame>,
    /// Of which live frames the times are, in the order of the frames.
    pub(super) seen: Vec<Seen>,
}

struct Node {
    parent: Option<usize>,
    place: Place,
    wait: Option<Wait>,
    count: usize,
    is_resource: bool,
    times: Times,
}

impl Builder {
    /// Adds a frame on the way from a root to a leaf, below another, and tells where it is.
    pub(super) fn step(&mut self, parent: Option<usize>, place: Place, keys: &[u64]) -> usize {
        let at = self.child(parent, place);
        for key in keys {
            self.keys.entry(*key).or_insert(at);
        }
        at
    }

    /// Adds a leaf: a way ends at that frame, or if there is one at the resource that it waits for.
    pub(super) fn leaf(
        &mut self,
        at: Option<usize>,
        resource: Option<Resource>,
        wait: Wait,
        count: usize,
    ) {
        if let Some(Resource { place, wait, way }) = resource {
            let at = self.resource(at, place);
            self.nodes[at].is_resource = true;
            let seen = self.ways.entry((at, way)).or_default();
            *seen += count;
            // One that registers wakers in two places has two ways, and is counted once.
            let count = self.nodes[at].count.max(*seen);
            self.nodes[at].see(wait, count);
        } else if let Some(at) = at {
            let count = self.nodes[at].count + count;
            self.nodes[at].see(wait, count);
        }
    }

    /// Where the live frame with this key is, if there was a stack through it.
    pub(super) fn find(&self, key: u64) -> Option<usize> {
        self.keys.get(&key).copied()
    }

    /// Adds a live frame below another, and tells where it is.
    pub(super) fn add_live(&mut self, parent: Option<usize>, place: Place, key: u64) -> usize {
        let at = self.child(parent, place);
        self.keys.insert(key, at);
        at
    }

    pub(super) fn is_labelled(&self, at: usize) -> bool {
        self.nodes[at].place.label.is_some()
    }

    /// Adds a live frame that is shown as one with the one that it is below.
    pub(super) fn join_live(&mut self, at: usize, place: Place, key: u64) {
        let label = self.nodes[at].place.label.take().or(place.label);
        self.nodes[at].place = Place { label, ..place };
        self.keys.insert(key, at);
    }

    /// Adds what another trace shows below a frame.
    pub(super) fn graft(&mut self, at: usize, frames: &[Frame]) {
        let mut pending: Vec<(usize, &Frame)> = frames.iter().map(|frame| (at, frame)).collect();
        while let Some((parent, frame)) = pending.pop() {
            let at = self.child(Some(parent), frame.place.clone());
            self.nodes[at].is_resource = frame.is_resource;
            if let Some(wait) = frame.wait {
                let count = self.nodes[at].count + frame.count;
                self.nodes[at].see(wait, count);
            }
            self.note_times(at, frame.times);
            pending.extend(frame.children.iter().map(|child| (at, child)));
        }
    }

    /// Adds frames without their labels and times.
    pub(super) fn add_anonymous(&mut self, frames: &[Frame]) {
        let mut pending: Vec<(Option<usize>, &Frame)> =
            frames.iter().map(|frame| (None, frame)).collect();
        while let Some((parent, frame)) = pending.pop() {
            let place = Place {
                label: None,
                ..frame.place.clone()
            };
            let at = self.child(parent, place);
            self.nodes[at].is_resource |= frame.is_resource;
            if let Some(wait) = frame.wait {
                let count = self.nodes[at].count + frame.count;
                self.nodes[at].see(wait, count);
            }
            pending.extend(frame.children.iter().map(|child| (Some(at), child)));
        }
    }

    /// Says how a live frame waits of which there is no stack.
    pub(super) fn see(&mut self, at: usize, wait: Wait) {
        let count = self.nodes[at].count + 1;
        self.nodes[at].see(wait, count);
    }

    /// Notes times, the longest if several live frames are at the same place.
    pub(super) fn note_times(&mut self, at: usize, times: Times) {
        let known = &mut self.nodes[at].times;
        known.age = known.age.max(times.age);
        known.not_polled_for = known.not_polled_for.max(times.not_polled_for);
    }

    /// The same for the times of the live frame with this number.
    pub(super) fn note_live(&mut self, at: usize, live: usize, times: Times) {
        self.note_times(at, times);
        self.seen.push(Seen {
            at,
            live,
            is_held: times.not_polled_for.is_some(),
        });
    }

    fn child(&mut self, parent: Option<usize>, place: Place) -> usize {
        let nodes = &mut self.nodes;
        *self
            .index
            .entry((parent, place))
            .or_insert_with_key(|(parent, place)| new(nodes, *parent, place.clone()))
    }

    fn resource(&mut self, parent: Option<usize>, place: Place) -> usize {
        let nodes = &mut self.nodes;
        let name = Arc::clone(&place.name);
        match self.resources.entry((parent, name)) {
            Entry::Vacant(entry) => *entry.insert(new(nodes, parent, place)),
            Entry::Occupied(entry) => {
                let known = &mut nodes[*entry.get()].place;
                if place < *known {
                    *known = place;
                }
                *entry.get()
            }
        }
    }

    /// The tree, with children in the order of their places in the source: the order in which
    /// they were added depends on the turns that a `select!` takes.
    pub(super) fn finish(self) -> Finished {
        let mut roots = Vec::new();
        let mut children: Vec<Vec<(usize, Frame)>> = Vec::new();
        children.resize_with(self.nodes.len(), Vec::new);
        // In the order of the tree.
        let mut numbers: Vec<Vec<usize>> = Vec::with_capacity(self.nodes.len());
        // A child was added after its parent, so from the back the children come first.
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
        let mut seen = self.seen;
        if !seen.is_empty() {
            let positions = positions(&roots, &numbers);
            for seen in &mut seen {
                seen.at = positions[seen.at];
            }
            seen.sort_by_key(|seen| seen.at);
        }
        Finished { frames, seen }
    }
}

/// Siblings in the order of their places, and their numbers.
fn sorted(mut siblings: Vec<(usize, Frame)>) -> (Vec<usize>, Vec<Frame>) {
    siblings.sort_by(|(_, one), (_, other)| one.place.cmp(&other.place));
    siblings.into_iter().unzip()
}

/// At which position in a walk each frame is, by its number. `children` are the numbers of the
/// children of each.
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

impl Node {
    fn see(&mut self, wait: Wait, count: usize) {
        self.count = count;
        // What cannot be woken is the worse news, and comes last in the order.
        self.wait = self.wait.max(Some(wait));
    }
}

/// Adds a node, and tells where it is.
fn new(nodes: &mut Vec<Node>, parent: Option<usize>, place: Place) -> usize {
    nodes.push(Node {
        parent,
        place,
        wait: None,
        count: 0,
        is_resource: false,
        times: Times::default(),
    });
    nodes.len() - 1
}
