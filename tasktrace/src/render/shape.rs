//! Compares and hashes the shapes of trees.
//!
//! Two trees have the same shape if they differ only in labels and times.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::walk::walk;
use crate::trace::Frame;

/// Returns the part of a frame that belongs to the shape: all but its label, its times and its children.
fn shape_of(frame: &Frame) -> impl Hash + PartialEq + use<'_> {
    (
        frame.name(),
        (frame.file(), frame.line(), frame.column(), frame.line_is()),
        frame.wait(),
        frame.count(),
    )
}

/// Hashes the shape of a tree.
pub(super) fn hash_shape(frames: &[Frame], into: &mut impl Hasher) {
    for step in walk(frames) {
        (step.parent, shape_of(step.frame)).hash(into);
    }
}

/// Returns `true` if two trees differ only in labels and times.
pub(super) fn have_same_shape(one: &[Frame], other: &[Frame]) -> bool {
    let mut one = walk(one).map(|step| (step.parent, shape_of(step.frame)));
    let mut other = walk(other).map(|step| (step.parent, shape_of(step.frame)));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (one, other) if one != other => return false,
            _ => {}
        }
    }
}

/// The size and the hash of a frame with everything below it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Subtree {
    /// The number of frames.
    pub(super) size: usize,
    /// A hash of the shape. It is not the hash of [`hash_shape`].
    pub(super) hash: u64,
}

/// Returns the subtree of each frame of a tree, in the order of [`walk`].
pub(super) fn subtrees(frames: &[Frame]) -> Vec<Subtree> {
    let steps: Vec<_> = walk(frames).collect();
    let mut subtrees = vec![Subtree::default(); steps.len()];
    // In reverse order children come before their parents.
    for (at, step) in steps.iter().enumerate().rev() {
        let mut hasher = DefaultHasher::new();
        // The children have already added their hashes to this one.
        subtrees[at].hash.hash(&mut hasher);
        shape_of(step.frame).hash(&mut hasher);
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
