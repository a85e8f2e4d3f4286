//! What is the same for all tasks that wait alike: found once for each pattern.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use super::out::Detail;
use super::shape;
use crate::trace::{Frame, Pattern, Trace, Tree};

/// What is known of a tree but for its labels and times.
#[derive(Clone, Copy)]
pub(super) struct Outline<'a> {
    /// The tree, with labels and times of any that are alike.
    tree: &'a Tree,
    /// The same for trees that are alike.
    pub(super) class: usize,
}

impl<'a> Outline<'a> {
    /// By itself.
    pub(super) fn of(tree: &'a Tree) -> Self {
        Self { tree, class: 0 }
    }

    /// What is to be said about the tree.
    pub(super) fn notes(&self) -> &'a crate::trace::Notes {
        &self.tree.notes
    }
}

/// The outlines of the traces of a dump.
#[derive(Default)]
pub(super) struct Outlines<'a> {
    of_patterns: HashMap<*const Pattern, Outline<'a>>,
    /// The first tree of each class.
    classes: Vec<&'a [Frame]>,
    /// Which classes have trees with the same hash: one, unless two hashes collide.
    by_hash: HashMap<u64, Vec<usize>>,
}

impl<'a> Outlines<'a> {
    /// That of the trace of a task. In full, no two are told together.
    pub(super) fn of(&mut self, trace: &'a Trace, detail: Detail) -> Outline<'a> {
        if detail == Detail::Full {
            return Outline::of(trace.full());
        }
        let Some(pattern) = trace.pattern() else {
            return self.of_tree(trace.tidy());
        };
        let key = Arc::as_ptr(pattern);
        if let Some(known) = self.of_patterns.get(&key) {
            return *known;
        }
        let outline = self.of_tree(pattern.tree());
        self.of_patterns.insert(key, outline);
        outline
    }

    fn of_tree(&mut self, tree: &'a Tree) -> Outline<'a> {
        let mut hasher = DefaultHasher::new();
        shape::hash_of(&tree.frames, &mut hasher);
        let candidates = self.by_hash.entry(hasher.finish()).or_default();
        let classes = &mut self.classes;
        let is_alike = |class: &&usize| shape::alike(classes[**class], &tree.frames);
        let class = candidates.iter().find(is_alike).copied();
        let class = class.unwrap_or_else(|| {
            candidates.push(classes.len());
            classes.push(&tree.frames);
            classes.len() - 1
        });
        Outline {
            class,
            ..Outline::of(tree)
        }
    }
}
