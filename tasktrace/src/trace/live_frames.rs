//! Adds the live frames to the tree of the stacks.
//!
//! Live frames that are on a stack are already in the tree. The others are added below their parents: in a snapshot all
//! of them, and in a capture those that were not polled.

use std::collections::{HashMap, HashSet};

use super::Tree;
use super::frame::{FramePlace, FrameTimes, Wait};
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
        .find(|marker| marker.task == raw.task && marker.key == Some(0));
    let root = Parent {
        at: root,
        joined: task.and_then(|task| frames.joined(0, &task.identity)),
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
                    joined: None,
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
struct Parent<'a> {
    /// The index of the parent in the tree. `None` adds roots.
    at: Option<usize>,
    /// The frame in it that is shown as one with it, like all frames that are the same: see [`FrameInserter::joined`].
    joined: Option<&'a FrameSnapshot>,
    /// `true` if the parent is held without being polled. Then the frames in it are not polled either.
    is_held: bool,
}

impl<'a> FrameInserter<'a, '_> {
    /// Adds all live frames that are directly or indirectly in the frame with this key.
    fn add_below(&mut self, key: u64, parent: Parent<'a>) {
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
    fn add(&mut self, (number, live): NumberedFrame<'a>, parent: Parent<'a>) -> Parent<'a> {
        self.added.insert(live.key);
        let joined = self.joined(live.key, &live.identity);
        let on_stack = self.builder.find(live.key);
        let at = on_stack.unwrap_or_else(|| self.add_without_stack(live, parent, joined));
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
            joined,
            is_held,
        }
    }

    /// Adds a live frame that is on no stack below `parent`, and returns its index. `joined` is the frame that is shown
    /// as one with it.
    fn add_without_stack(
        &mut self,
        live: &FrameSnapshot,
        parent: Parent<'_>,
        joined: Option<&FrameSnapshot>,
    ) -> usize {
        let place = place_of(&live.identity);
        if let Some(at) = parent.at
            && parent.joined.is_some_and(|joined| is_same(live, joined))
            && !self.builder.has_other_label(at, place.label.as_deref())
        {
            self.builder.join_live(at, place, live.key);
            return at;
        }
        // The place is final from the start, because frames at the same place share an index.
        let place = match joined {
            Some(function) => FramePlace {
                label: place.label.or_else(|| function.identity.label()),
                ..place_of(&function.identity)
            },
            None => place,
        };
        self.builder.add_live(parent.at, place, live.key)
    }

    /// Returns the live frame that is shown as one with the task or the frame with this key: the function of its name
    /// whose future it was made of, unless both have labels. A future of a library may poll several calls of that
    /// function. They are shown as one with it only if they have the same label.
    fn joined(&self, key: u64, identity: &Identity) -> Option<&'a FrameSnapshot> {
        let call = identity.origin();
        if !matches!(call, Origin::Call { .. }) {
            return None;
        }
        let is_labelled = |identity: &Identity| identity.label_str().is_some();
        let children = self.children.get(&key)?.iter().map(|(_, live)| *live);
        let mut functions = children.filter(|live| {
            let function = live.identity.origin();
            matches!(function, Origin::Function(_))
                && call.path() == function.path()
                && !(is_labelled(identity) && is_labelled(&live.identity))
                && !self.added.contains(&live.key)
        });
        let first = functions.next()?;
        functions.all(|live| is_same(live, first)).then_some(first)
    }
}

/// Returns `true` for frames of the same function with the same label.
fn is_same(one: &FrameSnapshot, other: &FrameSnapshot) -> bool {
    let (one, other) = (&one.identity, &other.identity);
    let is_function = |identity: &Identity| matches!(identity.origin(), Origin::Function(_));
    is_function(one)
        && is_function(other)
        && one.origin().path() == other.origin().path()
        && one.label_str() == other.label_str()
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use super::*;
    use crate::capture::{ScopeMarker, SnapshotTime};
    use crate::origin::FrameMeta;
    use crate::trace::Trace;

    static MAIN: FrameMeta = FrameMeta::new(None, || "app::main::item", "src/main.rs", 1, 2);
    static SERVE: FrameMeta = FrameMeta::new(None, || "app::serve::item", "src/main.rs", 9, 2);

    /// Returns the snapshot of a task with futures that one call of `traced` in a loop has made. Each is a label, and the
    /// labels of the calls of `serve` that it polls.
    fn served(futures: &[(Option<&str>, &[Option<&str>])]) -> Trace {
        let call = Origin::Call {
            future: "app::serve::{{closure}}",
            location: Location::caller(),
        };
        let mut frames: Vec<FrameSnapshot> = Vec::new();
        let mut add = |parent, origin, label: Option<&str>| {
            let key = frames.len() as u64 + 1;
            frames.push(FrameSnapshot {
                key,
                parent,
                identity: Identity::new(origin, label.map(Into::into), None),
                since: 0,
                polled: 0,
                is_held: false,
            });
            key
        };
        for (label, functions) in futures {
            let future = add(0, call, *label);
            for label in *functions {
                add(future, Origin::Function(&SERVE), *label);
            }
        }
        let root = ScopeMarker {
            task: 7,
            key: Some(0),
            identity: Identity::Static(&MAIN),
            own_waker: false,
        };
        Trace::new(RawTrace::snapshot(root, &frames, SnapshotTime(0)))
    }

    /// Returns the labels, the counts and the numbers of children of the frames below the task.
    fn below(trace: &Trace) -> Vec<(Option<&str>, usize, usize)> {
        let [main] = trace.frames() else {
            panic!("the task is the only root");
        };
        let frames = main.children().iter();
        frames
            .map(|frame| {
                assert_eq!(frame.name(), "app::serve");
                (frame.label(), frame.count(), frame.children().len())
            })
            .collect()
    }

    #[test]
    fn futures_of_one_call_that_differ_in_the_labels_of_their_functions_are_siblings() {
        let trace = served(&[
            (None, &[Some("a")]),
            (None, &[Some("b")]),
            (None, &[Some("a")]),
        ]);
        assert_eq!(below(&trace), [(Some("a"), 2, 0), (Some("b"), 1, 0)]);
    }

    #[test]
    fn a_future_and_its_function_are_one_frame_unless_both_have_labels() {
        assert_eq!(
            below(&served(&[(None, &[None]), (None, &[None])])),
            [(None, 2, 0)]
        );
        assert_eq!(below(&served(&[(Some("a"), &[None])])), [(Some("a"), 1, 0)]);
        let both = served(&[(Some("a"), &[Some("b")])]);
        assert_eq!(below(&both), [(Some("a"), 0, 1)]);
        assert_eq!(both.leaves()[0].label(), Some("b"));
    }

    #[test]
    fn a_future_that_polls_several_calls_of_its_function_is_one_frame_with_those_of_one_label() {
        let same = served(&[(None, &[Some("a"), Some("a"), Some("a")])]);
        assert_eq!(below(&same), [(Some("a"), 3, 0)]);
        let others = served(&[(None, &[Some("a"), Some("b")])]);
        assert_eq!(below(&others), [(None, 0, 2)]);
    }
}
