//! Gives traces of the same shape the same key, so that tasks with the same stack are grouped in linear time.
//!
//! The key of an interned tree is computed once for all traces that share the tree.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use super::line_writer::DetailLevel;
use super::shape;
use crate::trace::{Frame, InternedTree, Trace, Tree};

/// A key of the shape of a tree: its frames without labels and times.
#[derive(Clone, Copy)]
pub(super) struct ShapeKey<'a> {
    /// A tree of this shape. Its labels and times may be those of another trace.
    tree: &'a Tree,
    /// The number of the shape: equal for trees of the same shape. `None` if the tree was not compared with others.
    pub(super) class: Option<usize>,
}

impl<'a> ShapeKey<'a> {
    /// Returns a key for a tree that is not compared with others.
    pub(super) fn of(tree: &'a Tree) -> Self {
        Self { tree, class: None }
    }

    /// Returns the notes on the tree.
    pub(super) fn notes(&self) -> &'a crate::trace::Notes {
        &self.tree.notes
    }
}

/// The keys of the traces of one dump.
#[derive(Default)]
pub(super) struct ShapeKeys<'a> {
    of_interned: HashMap<*const InternedTree, ShapeKey<'a>>,
    /// The first tree of each class.
    classes: Vec<&'a [Frame]>,
    /// The classes of the trees with a hash: one class, unless hashes collide.
    by_hash: HashMap<u64, Vec<usize>>,
}

impl<'a> ShapeKeys<'a> {
    /// Returns the key of the trace of a task. In full detail tasks are not grouped, and no key has a class.
    pub(super) fn of(&mut self, trace: &'a Trace, detail: DetailLevel) -> ShapeKey<'a> {
        if detail == DetailLevel::Full {
            return ShapeKey::of(trace.full());
        }
        let Some(interned) = trace.interned_tree() else {
            return self.of_tree(trace.simplified());
        };
        let address = Arc::as_ptr(interned);
        if let Some(known) = self.of_interned.get(&address) {
            return *known;
        }
        let shape_key = self.of_tree(interned.tree());
        self.of_interned.insert(address, shape_key);
        shape_key
    }

    fn of_tree(&mut self, tree: &'a Tree) -> ShapeKey<'a> {
        let mut hasher = DefaultHasher::new();
        shape::hash_shape(&tree.frames, &mut hasher);
        let candidates = self.by_hash.entry(hasher.finish()).or_default();
        let classes = &mut self.classes;
        let is_same = |class: &&usize| shape::have_same_shape(classes[**class], &tree.frames);
        let class = candidates.iter().find(is_same).copied();
        let class = class.unwrap_or_else(|| {
            candidates.push(classes.len());
            classes.push(&tree.frames);
            classes.len() - 1
        });
        ShapeKey {
            tree,
            class: Some(class),
        }
    }
}
