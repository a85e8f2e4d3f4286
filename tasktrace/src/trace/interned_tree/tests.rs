use super::*;
use crate::capture::{FrameSnapshot, ScopeMarker, SnapshotTime};
use crate::origin::CLOCK_STEP;
use crate::origin::{FrameMeta, Identity, Origin};
use crate::trace::simplify;

static ROOT: FrameMeta = FrameMeta::new(None, || "app::main::item", "src/main.rs", 1, 2);
static CALL: FrameMeta = FrameMeta::new(None, || "app::call::item", "src/main.rs", 9, 2);

/// The live frames of a task. Each has the number of its parent (0 for the task, else from 1 on), its label, its age in
/// steps, and the steps for which it was not polled.
type LiveFrames<'a> = &'a [(u64, Option<&'a str>, u32, Option<u32>)];

fn raw(task: u64, frames: LiveFrames<'_>) -> RawTrace {
    let root = ScopeMarker {
        task,
        key: Some(0),
        identity: Identity::Static(&ROOT),
        own_waker: false,
    };
    // Keys are different from trace to trace.
    let key = |number: u64| if number == 0 { 0 } else { task * 100 + number };
    let live = frames.iter().zip(1..);
    let live = live.map(|((parent, label, age, not_polled), number)| FrameSnapshot {
        key: key(number),
        parent: key(*parent),
        identity: Identity::new(Origin::Function(&CALL), label.map(Arc::from), None),
        since: 101 - age,
        polled: 101 - not_polled.unwrap_or(0),
        is_held: not_polled.is_some(),
    });
    let live: Vec<FrameSnapshot> = live.collect();
    RawTrace::snapshot(
        root,
        &live,
        SnapshotTime(100 * CLOCK_STEP.as_nanos() as u64),
    )
}

fn describe(tree: &Tree) -> Vec<String> {
    let frames = frames_in(&tree.frames);
    frames
        .map(|frame| format!("{frame:?} {:?} {}", frame.times, frame.is_resource))
        .collect()
}

/// Checks that the tree of a raw trace is the same if it is made without an interned tree.
#[track_caller]
fn check(raw: &RawTrace) {
    let made = TreeMaker::new().make(TreeKind::Simplified, raw);
    assert_eq!(
        describe(made.tree(raw)),
        describe(&simplify::tree(raw, &[]).tree)
    );
}

#[track_caller]
fn check_sharing(one: &RawTrace, other: &RawTrace, expected: bool) {
    let memos = one.memos().zip(other.memos());
    let share = memos.is_some_and(|(one, other)| Arc::ptr_eq(one, other));
    assert_eq!(share, expected);
    check(one);
    check(other);
}

#[test]
fn times_and_labels_are_those_of_the_trace() {
    let one = raw(1, &[(0, Some("b"), 5, None), (1, None, 3, Some(2))]);
    let other = raw(2, &[(0, Some("x"), 7, None), (1, None, 9, Some(8))]);
    check_sharing(&one, &other, true);
}

#[test]
fn frames_at_the_same_place_show_the_longest_time() {
    let one = raw(1, &[(0, None, 5, Some(1)), (0, None, 3, Some(4))]);
    let other = raw(2, &[(0, None, 2, Some(9)), (0, None, 8, Some(3))]);
    check_sharing(&one, &other, true);
}

#[test]
fn traces_share_a_tree_only_if_their_labels_have_the_same_order() {
    let labelled = |task, one, other| raw(task, &[(0, one, 1, None), (0, other, 2, None)]);
    let ab = labelled(1, Some("a"), Some("b"));
    check_sharing(&ab, &labelled(2, Some("x"), Some("y")), true);
    for (one, other) in [
        (Some("b"), Some("a")),
        (Some("a"), Some("a")),
        (Some("a"), None),
        (None, Some("a")),
        (None, None),
    ] {
        check_sharing(&ab, &labelled(2, one, other), false);
    }
}

#[test]
fn traces_share_a_tree_only_if_their_frames_are_nested_alike() {
    let below = raw(1, &[(0, None, 1, None), (1, None, 1, None)]);
    let beside = raw(2, &[(0, None, 1, None), (0, None, 1, None)]);
    let held = raw(3, &[(0, None, 1, None), (1, None, 1, Some(1))]);
    let ended = raw(4, &[(0, None, 1, None), (7, None, 1, None)]);
    check_sharing(&below, &beside, false);
    check_sharing(&below, &held, false);
    check_sharing(&below, &ended, false);
}

#[test]
fn trees_of_large_traces_are_not_shared() {
    let large = raw(1, &vec![(0, None, 1, None); 140_000]);
    assert!(matches!(
        TreeMaker::new().make(TreeKind::Simplified, &large),
        TraceTree::Unshared(_)
    ));
    check(&large);
}

#[test]
fn deeply_nested_frames_are_compared_by_their_parents() {
    let frames: Vec<_> = (0..50)
        .map(|parent| (parent, None, parent as u32, None))
        .collect();
    let mut turned = frames.clone();
    turned[49].0 = 48;
    check_sharing(&raw(1, &frames), &raw(2, &frames), true);
    check_sharing(&raw(1, &frames), &raw(2, &turned), false);
}

#[test]
fn equal_traces_share_one_interned_tree_of_each_kind() {
    let alike = |task| raw(task, &[(0, None, task as u32, None)]);
    for kind in [TreeKind::Simplified, TreeKind::Full] {
        let [one, other] = [1, 2].map(|task| TreeMaker::new().make(kind, &alike(task)));
        let (TraceTree::Shared(one, _), TraceTree::Shared(other, _)) = (one, other) else {
            panic!("equal traces share a tree");
        };
        assert!(Arc::ptr_eq(&one, &other));
    }
}
