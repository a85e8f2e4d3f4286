//! Which trees are the same, but for labels and times.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::walk::walk;
use crate::trace::Frame;

/// All that tells a frame from another, but its label, its times and its children.
fn kind(frame: &Frame) -> impl Hash + PartialEq + use<'_> {
    (
        frame.name(),
        (frame.file(), frame.line(), frame.column(), frame.line_is()),
        frame.wait(),
        frame.count(),
    )
}

/// What is the same for trees that are [`alike`], and different for almost all others.
pub(super) fn hash_of(frames: &[Frame], into: &mut impl Hasher) {
    for step in walk(frames) {
        (step.parent, kind(step.frame)).hash(into);
    }
}

/// Whether the trees are the same, but for labels and times.
pub(super) fn alike(one: &[Frame], other: &[Frame]) -> bool {
    let mut one = walk(one).map(|step| (step.parent, kind(step.frame)));
    let mut other = walk(other).map(|step| (step.parent, kind(step.frame)));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (one, other) if one != other => return false,
            _ => {}
        }
    }
}

/// A part of a tree.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Subtree {
    /// How many frames it has.
    pub(super) size: usize,
    /// As [`hash_of`].
    pub(super) hash: u64,
}

/// What is below each frame of a tree, with the frame itself, in the order of [`walk`].
pub(super) fn subtrees(frames: &[Frame]) -> Vec<Subtree> {
    let steps: Vec<_> = walk(frames).collect();
    let mut subtrees = vec![Subtree::default(); steps.len()];
    // From the back the children come first.
    for (at, step) in steps.iter().enumerate().rev() {
        let mut hasher = DefaultHasher::new();
        // What the children have left here.
        subtrees[at].hash.hash(&mut hasher);
        kind(step.frame).hash(&mut hasher);
        subtrees[at].hash = hasher.finish();
        subtrees[at].size += 1;
        if let Some(parent) = step.parent {
            let child = subtrees[at];
            let mut hasher = DefaultHasher::new();
            (subtrees[parent].hash, child.hash).hash(&mut hasher);
            subtrees[parent].hash = hasher.finish();
            subtrees[parent].size += child.size;
        }
    }
    subtrees
}
