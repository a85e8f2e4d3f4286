//! Merging stacks into a tree.
//!
//! Two stacks share the frames from the root on that are at the same places. Time and memory are
//! linear in the size of what is added; nothing recurses.

use std::collections::HashMap;

use super::frame::{Frame, Place, Wait};

/// A tree in the making.
#[derive(Default)]
pub(super) struct Builder {
    nodes: Vec<Node>,
    /// Where in `nodes` the child of a node at a place is. The roots are the children of `None`.
    index: HashMap<(Option<usize>, Place), usize>,
}

struct Node {
    parent: Option<usize>,
    place: Place,
    wait: Option<Wait>,
    count: usize,
}

impl Builder {
    /// Adds the way from a root to a leaf.
    pub(super) fn add(
        &mut self,
        path: impl IntoIterator<Item = Place>,
        wait: Option<Wait>,
        count: usize,
    ) {
        let mut at = None;
        for place in path {
            at = Some(self.child(at, place));
        }
        if let Some(leaf) = at {
            let leaf = &mut self.nodes[leaf];
            leaf.count += count;
            // What cannot be woken is the worse news, and comes last in the order.
            leaf.wait = leaf.wait.max(wait);
        }
    }

    fn child(&mut self, parent: Option<usize>, place: Place) -> usize {
        let next = self.nodes.len();
        let nodes = &mut self.nodes;
        *self
            .index
            .entry((parent, place))
            .or_insert_with_key(|(parent, place)| {
                nodes.push(Node {
                    parent: *parent,
                    place: place.clone(),
                    wait: None,
                    count: 0,
                });
                next
            })
    }

    /// The tree, with children in the order of their places in the source: the order in which
    /// they were added depends on the turns that a `select!` takes.
    pub(super) fn finish(self) -> Vec<Frame> {
        let mut roots = Vec::new();
        let mut children: Vec<Vec<Frame>> = Vec::new();
        children.resize_with(self.nodes.len(), Vec::new);
        // A child was added after its parent, so from the back the children come first.
        for (at, node) in self.nodes.into_iter().enumerate().rev() {
            let mut own = std::mem::take(&mut children[at]);
            own.sort_by(|one, other| one.place.cmp(&other.place));
            let frame = Frame {
                place: node.place,
                wait: node.wait,
                count: node.count,
                children: own,
            };
            match node.parent {
                Some(parent) => children[parent].push(frame),
                None => roots.push(frame),
            }
        }
        roots.sort_by(|one, other| one.place.cmp(&other.place));
        roots
    }
}
