//! Adds the live frames to the tree of the stacks.
//!
//! Live frames that are on a stack are already in the tree. The others are added below their parents: in a snapshot all
//! of them, and in a capture those that were not polled.

use std::collections::{HashMap, HashSet};

use super::Tree;
use super::frame::{FrameTimes, Wait};
use super::simplify::place_of;
use super::tree_builder::TreeBuilder;
use crate::capture::{FrameSnapshot, RawTrace};
use crate::origin::{Identity, Origin};

/// Adds the live frames of a trace to a tree, and the trees of the tasks whose handles they await.
pub(super) fn add(raw: &RawTrace, awaited: &[(u64, &Tree)], builder: &mut TreeBuilder) {
    let root = match (raw.stacks().first(), raw.markers()) {
        // If there are stacks, they have already added the root.
        (Some(_), _) | (None, []) => None,
        (None, [root, ..]) => Some(builder.add_live(None, place_of(&root.identity), 0)),
    };
    let root = root.or_else(|| builder.find(0));
    if raw.frames.is_empty() && raw.stacks().is_empty() {
        if let Some(root) = root {
            builder.add_live_leaf(root, Wait::Suspended);
        }
        return;
    }
    let mut children: HashMap<u64, Vec<NumberedFrame<'_>>> = HashMap::new();
    let all = || raw.frames.iter().enumerate();
    for live in all() {
        children.entry(live.1.parent).or_default().push(live);
    }
    let mut frames = FrameInserter {
        raw,
        builder,
        children,
        added: HashSet::new(),
    };
    let task = raw
        .markers()
        .iter()
        .find(|marker| marker.task == raw.task && marker.key == Some(0))
        .map(|marker| &marker.identity);
    let root = Parent {
        at: root,
        origin: task.map(Identity::origin),
        is_held: false,
    };
    frames.add_below(0, root);
    // The parents of some frames have ended, so these frames are added below the task.
    let keys: HashSet<u64> = raw.frames.iter().map(|live| live.key).collect();
    let (ended, rest): (Vec<NumberedFrame<'_>>, Vec<NumberedFrame<'_>>) =
        all().partition(|(_, live)| !keys.contains(&live.parent));
    // All other frames are in the tree by now, unless they contain each other because they were copied while they were
    // moved.
    for live in ended.into_iter().chain(rest) {
        if !frames.added.contains(&live.1.key) {
            let parent = frames.add(
                live,
                Parent {
                    origin: None,
                    ..root
                },
            );
            frames.add_below(live.1.key, parent);
        }
    }
    if awaited.is_empty() {
        return;
    }
    let awaited: HashMap<u64, &Tree> = awaited.iter().copied().collect();
    for live in &raw.frames {
        let at = builder.find(live.key);
        if let (Some(at), Origin::Wait { .. }) = (at, live.identity.origin()) {
            let numbers = live.identity.awaits().into_iter();
            let trees = numbers.filter_map(|number| awaited.get(&number));
            trees.for_each(|tree| builder.graft(at, &tree.frames));
        }
    }
}

/// A live frame with its number.
type NumberedFrame<'a> = (usize, &'a FrameSnapshot);

/// Inserts live frames into a tree.
struct FrameInserter<'a, 'b> {
    raw: &'a RawTrace,
    builder: &'b mut TreeBuilder,
    children: HashMap<u64, Vec<NumberedFrame<'a>>>,
    added: HashSet<u64>,
}

/// The parent of a live frame.
#[derive(Clone, Copy)]
struct Parent {
    /// The index of the parent in the tree. `None` adds roots.
    at: Option<usize>,
    origin: Option<Origin>,
    /// `true` if the parent is held without being polled. Then the frames in it are not polled either.
    is_held: bool,
}

impl<'a> FrameInserter<'a, '_> {
    /// Adds all live frames that are directly or indirectly in the frame with this key.
    fn add_below(&mut self, key: u64, parent: Parent) {
        let mut pending = vec![(key, parent)];
        while let Some((key, parent)) = pending.pop() {
            for live in self.children.remove(&key).unwrap_or_default() {
                if !self.added.contains(&live.1.key) {
                    pending.push((live.1.key, self.add(live, parent)));
                }
            }
        }
    }

    /// Adds a live frame below `parent`, unless it is on a stack, and sets its wait and its times.
    fn add(&mut self, (number, live): NumberedFrame<'a>, parent: Parent) -> Parent {
        self.added.insert(live.key);
        let on_stack = self.builder.find(live.key);
        let at = on_stack.unwrap_or_else(|| self.add_without_stack(live, parent));
        let mut times = FrameTimes {
            age: Some(self.raw.age(number)),
            not_polled_for: None,
        };
        let is_held = on_stack.is_none() && (live.is_held || parent.is_held);
        if is_held && !parent.is_held {
            times.not_polled_for = self.raw.not_polled_for(number);
            self.builder.add_live_leaf(at, Wait::NotPolled);
        } else if on_stack.is_none() && !self.children.contains_key(&live.key) {
            self.builder.add_live_leaf(at, Wait::Suspended);
        }
        self.builder.note_live_times(at, number, times);
        Parent {
            at: Some(at),
            origin: Some(live.identity.origin()),
            is_held,
        }
    }

    /// Adds a live frame that is on no stack below `parent`, and returns its index.
    fn add_without_stack(&mut self, live: &FrameSnapshot, parent: Parent) -> usize {
        let place = place_of(&live.identity);
        match (parent.at, parent.origin, live.identity.origin()) {
            // The parent is a task or a frame that was made of the future of this function and has its name. Both are
            // shown as one frame, unless both have labels.
            (Some(at), Some(call @ Origin::Call { .. }), function @ Origin::Function(_))
                if call.path() == function.path()
                    && !(self.builder.is_labelled(at) && place.label.is_some()) =>
            {
                self.builder.join_live(at, place, live.key);
                at
            }
            _ => self.builder.add_live(parent.at, place, live.key),
        }
    }
}
