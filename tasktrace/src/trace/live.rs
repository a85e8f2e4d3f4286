//! Adding the live frames to the tree of the stacks.
//!
//! Those that are on a stack are there already. The others are put below the frame that they are
//! in: all of them if the trace is a snapshot, and in a capture those that were not polled.

use std::collections::{HashMap, HashSet};

use super::Tree;
use super::build::Builder;
use super::frame::{Times, Wait};
use super::tidy::place_of;
use crate::capture::{Live, RawTrace};
use crate::origin::{Identity, Origin};

pub(super) fn add(raw: &RawTrace, awaited: &[(u64, &Tree)], builder: &mut Builder) {
    let root = match (raw.stacks().first(), raw.markers()) {
        // It is in the tree with the stacks.
        (Some(_), _) | (None, []) => None,
        (None, [root, ..]) => Some(builder.add_live(None, place_of(&root.identity), 0)),
    };
    let root = root.or_else(|| builder.find(0));
    if raw.frames.is_empty() && raw.stacks().is_empty() {
        if let Some(root) = root {
            builder.see(root, Wait::Suspended);
        }
        return;
    }
    let mut children: HashMap<u64, Vec<Numbered<'_>>> = HashMap::new();
    let all = || raw.frames.iter().enumerate();
    for live in all() {
        children.entry(live.1.parent).or_default().push(live);
    }
    let mut frames = Frames {
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
    // What some are in has ended, so all that is known is the task.
    let keys: HashSet<u64> = raw.frames.iter().map(|live| live.key).collect();
    let (ended, rest): (Vec<Numbered<'_>>, Vec<Numbered<'_>>) =
        all().partition(|(_, live)| !keys.contains(&live.parent));
    // Of the rest all are in the tree by now, unless they were copied while they were moved, and
    // are in each other.
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

/// A live frame, and which of all it is.
type Numbered<'a> = (usize, &'a Live);

struct Frames<'a, 'b> {
    raw: &'a RawTrace,
    builder: &'b mut Builder,
    children: HashMap<u64, Vec<Numbered<'a>>>,
    added: HashSet<u64>,
}

/// The frame that one is put below.
#[derive(Clone, Copy)]
struct Parent {
    at: Option<usize>,
    origin: Option<Origin>,
    /// Then nothing in it is polled either.
    is_held: bool,
}

impl<'a> Frames<'a, '_> {
    /// Adds what is in the frame with this key, and in what is in it.
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

    fn add(&mut self, (number, live): Numbered<'a>, parent: Parent) -> Parent {
        self.added.insert(live.key);
        let on_stack = self.builder.find(live.key);
        let at = on_stack.unwrap_or_else(|| self.add_without_stack(live, parent));
        let mut times = Times {
            age: Some(self.raw.age(number)),
            not_polled_for: None,
        };
        let is_held = on_stack.is_none() && (live.is_held || parent.is_held);
        if is_held && !parent.is_held {
            times.not_polled_for = self.raw.not_polled_for(number);
            self.builder.see(at, Wait::NotPolled);
        } else if on_stack.is_none() && !self.children.contains_key(&live.key) {
            self.builder.see(at, Wait::Suspended);
        }
        self.builder.note_live(at, number, times);
        Parent {
            at: Some(at),
            origin: Some(live.identity.origin()),
            is_held,
        }
    }

    fn add_without_stack(&mut self, live: &Live, parent: Parent) -> usize {
        let place = place_of(&live.identity);
        match (parent.at, parent.origin, live.identity.origin()) {
            // A task, or a frame, that was made of the future of this function, whose name it has.
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
