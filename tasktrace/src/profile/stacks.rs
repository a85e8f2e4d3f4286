//! Merges the raw stacks of a profile once symbols are known: raw stacks with the same frames are one stack.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use super::tally::RawStack;
use crate::dump::StateKind;
use crate::trace::{Frame, LineIs, Tree, Wait, all_frames_of, anonymous};

/// The tasks of the same name that were seen in the same state with the same frames.
#[derive(Debug)]
pub(crate) struct ProfileStack {
    pub(crate) name: Cow<'static, str>,
    pub(crate) state_kind: StateKind,
    /// The frames, without labels and times.
    pub(crate) tree: Tree,
    /// The number of times that a task was seen.
    pub(crate) seen: u64,
    /// The total time that tasks waited with this stack.
    pub(crate) waited: Duration,
    /// The total time that tasks had this stack, whether they waited or not.
    pub(crate) time: Duration,
}

/// The properties that distinguish the frames of a tree, as a list.
///
/// Each element has the number of its children, so different trees have different lists.
type FrameKeys = Vec<(
    usize,
    String,
    Option<String>,
    (Option<u32>, LineIs),
    Option<Wait>,
)>;

/// Merges raw stacks with the same frames, and returns the stacks with the longest waits first.
pub(super) fn merge(raw_stacks: &[RawStack]) -> Vec<ProfileStack> {
    let mut stacks: Vec<ProfileStack> = Vec::new();
    let mut index: HashMap<(Cow<'static, str>, StateKind, FrameKeys), usize> = HashMap::new();
    for raw in raw_stacks {
        let simplified = raw.trace.simplified();
        let frames = anonymous(&simplified.frames);
        let name = raw.name.clone();
        let next = stacks.len();
        let at = index.entry((name, raw.state_kind, frame_keys(&frames)));
        match stacks.get_mut(*at.or_insert(next)) {
            Some(stack) => {
                stack.seen += raw.seen;
                stack.waited = stack.waited.saturating_add(raw.waited());
                stack.time = stack.time.saturating_add(raw.time);
            }
            None => stacks.push(ProfileStack {
                name: raw.name.clone(),
                state_kind: raw.state_kind,
                tree: Tree {
                    frames,
                    notes: simplified.notes.clone(),
                },
                seen: raw.seen,
                waited: raw.waited(),
                time: raw.time,
            }),
        }
    }
    stacks.sort_by(|one, other| {
        let order = |stack: &ProfileStack| (stack.waited, stack.time, stack.seen);
        let by_name = || (&one.name, one.state_kind).cmp(&(&other.name, other.state_kind));
        order(other).cmp(&order(one)).then_with(by_name)
    });
    stacks
}

fn frame_keys(frames: &[Frame]) -> FrameKeys {
    let frames = all_frames_of(frames).map(|frame| {
        let file = frame.file().map(str::to_owned);
        let name = frame.name().to_owned();
        (
            frame.children().len(),
            name,
            file,
            (frame.line(), frame.line_is()),
            frame.wait(),
        )
    });
    frames.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Trace;

    fn raw_stack(name: &str, frames: Vec<Frame>, millis: u64) -> RawStack {
        RawStack {
            name: name.to_owned().into(),
            state_kind: StateKind::Suspended,
            trace: Trace::sample(frames),
            members: None,
            seen: 1,
            time: Duration::from_millis(millis),
        }
    }

    fn lock(label: &str) -> Vec<Frame> {
        let lock = Frame::sample("lock", 2).with_label(label).aged(3.0);
        vec![Frame::sample("serve", 1).with_children([lock])]
    }

    #[test]
    fn raw_stacks_that_differ_only_in_labels_and_times_are_merged() {
        let sleep = || vec![Frame::sample("serve", 1).with_children([Frame::sample("sleep", 3)])];
        let raw_stacks = [
            raw_stack("serve", sleep(), 15),
            raw_stack("serve", lock("one"), 10),
            raw_stack("serve", lock("two"), 9),
            raw_stack("other", lock("two"), 8),
        ];
        let stacks = merge(&raw_stacks);
        let rows: Vec<(&str, u64, u128)> = stacks
            .iter()
            .map(|stack| (&*stack.name, stack.seen, stack.waited.as_millis()))
            .collect();
        assert_eq!(rows, [("serve", 2, 19), ("serve", 1, 15), ("other", 1, 8)]);
        let lock = &stacks[0].tree.frames[0].children()[0];
        assert_eq!((lock.label(), lock.age()), (None, None));
    }

    #[test]
    fn siblings_that_differ_only_in_labels_are_merged() {
        let lock = |label| Frame::sample("lock", 2).with_label(label);
        let root = Frame::sample("serve", 1).with_children([lock("one"), lock("two").times(3)]);
        let stacks = merge(&[raw_stack("serve", vec![root], 1)]);
        let [lock] = stacks[0].tree.frames[0].children() else {
            panic!("{:?}", stacks[0].tree.frames);
        };
        assert_eq!(lock.count(), 4);
    }
}
