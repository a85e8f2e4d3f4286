//! What was seen, now that symbols are known: groups with the same frames are one stack.

use std::borrow::Cow;
use std::collections::HashMap;

use std::time::Duration;

use super::tally::Group;
use crate::dump::StateKind;
use crate::trace::{Frame, LineIs, Tree, Wait, all, anonymous};

/// Tasks of the same name that were seen in the same state with the same frames.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) name: Cow<'static, str>,
    pub(crate) state_kind: StateKind,
    /// Without labels and times.
    pub(crate) tree: Tree,
    /// How often one was seen.
    pub(crate) seen: u64,
    /// For how long they have waited, all together.
    pub(crate) waited: Duration,
    /// For how long they were there, all together, whether they waited or not.
    pub(crate) time: Duration,
}

/// What tells a frame from others, and how many children it has: so a list tells a tree.
type Shape = Vec<(
    usize,
    String,
    Option<String>,
    (Option<u32>, LineIs),
    Option<Wait>,
)>;

/// The stacks, those first where most time was waited.
pub(super) fn stacks(groups: &[Group]) -> Vec<Stack> {
    let mut stacks: Vec<Stack> = Vec::new();
    let mut index: HashMap<(Cow<'static, str>, StateKind, Shape), usize> = HashMap::new();
    for group in groups {
        let tidy = group.trace.tidy();
        let frames = anonymous(&tidy.frames);
        let name = group.name.clone();
        let next = stacks.len();
        let at = index.entry((name, group.state_kind, shape(&frames)));
        match stacks.get_mut(*at.or_insert(next)) {
            Some(stack) => {
                stack.seen += group.seen;
                stack.waited = stack.waited.saturating_add(group.waited());
                stack.time = stack.time.saturating_add(group.time);
            }
            None => stacks.push(Stack {
                name: group.name.clone(),
                state_kind: group.state_kind,
                tree: Tree {
                    frames,
                    notes: tidy.notes.clone(),
                },
                seen: group.seen,
                waited: group.waited(),
                time: group.time,
            }),
        }
    }
    stacks.sort_by(|one, other| {
        let order = |stack: &Stack| (stack.waited, stack.time, stack.seen);
        let by_name = || (&one.name, one.state_kind).cmp(&(&other.name, other.state_kind));
        order(other).cmp(&order(one)).then_with(by_name)
    });
    stacks
}

fn shape(frames: &[Frame]) -> Shape {
    let frames = all(frames).map(|frame| {
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

    fn group(name: &str, frames: Vec<Frame>, millis: u64) -> Group {
        Group {
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
    fn what_differs_by_labels_and_times_is_one() {
        let sleep = || vec![Frame::sample("serve", 1).with_children([Frame::sample("sleep", 3)])];
        let groups = [
            group("serve", sleep(), 15),
            group("serve", lock("one"), 10),
            group("serve", lock("two"), 9),
            group("other", lock("two"), 8),
        ];
        let stacks = stacks(&groups);
        let told: Vec<(&str, u64, u128)> = stacks
            .iter()
            .map(|stack| (&*stack.name, stack.seen, stack.waited.as_millis()))
            .collect();
        assert_eq!(told, [("serve", 2, 19), ("serve", 1, 15), ("other", 1, 8)]);
        let lock = &stacks[0].tree.frames[0].children()[0];
        assert_eq!((lock.label(), lock.age()), (None, None));
    }

    #[test]
    fn siblings_that_differ_by_labels_are_one() {
        let lock = |label| Frame::sample("lock", 2).with_label(label);
        let root = Frame::sample("serve", 1).with_children([lock("one"), lock("two").times(3)]);
        let stacks = stacks(&[group("serve", vec![root], 1)]);
        let [lock] = stacks[0].tree.frames[0].children() else {
            panic!("{:?}", stacks[0].tree.frames);
        };
        assert_eq!(lock.count(), 4);
    }
}
