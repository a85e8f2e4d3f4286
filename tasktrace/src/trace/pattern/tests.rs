use super::*;
use crate::capture::{Live, Marker, Now};
use crate::origin::STEP;
use crate::origin::{FrameMeta, Identity, Origin};
use crate::trace::tidy;

static ROOT: FrameMeta = FrameMeta::new(None, || "app::main::item", "src/main.rs", 1, 2);
static CALL: FrameMeta = FrameMeta::new(None, || "app::call::item", "src/main.rs", 9, 2);

/// A task with frames below each other or side by side: the number of the parent from 1 on, the label,
/// the age, and for how long it was not polled, both in steps.
type Frames<'a> = &'a [(u64, Option<&'a str>, u32, Option<u32>)];

fn raw(task: u64, frames: Frames<'_>) -> RawTrace {
    let root = Marker {
        task,
        key: Some(0),
        identity: Identity::Static(&ROOT),
        own_waker: false,
    };
    // Keys are different from trace to trace.
    let key = |number: u64| if number == 0 { 0 } else { task * 100 + number };
    let live = frames.iter().zip(1..);
    let live = live.map(|((parent, label, age, not_polled), number)| Live {
        key: key(number),
        parent: key(*parent),
        identity: Identity::new(Origin::Function(&CALL), label.map(Arc::from), None),
        since: 101 - age,
        polled: 101 - not_polled.unwrap_or(0),
        is_held: not_polled.is_some(),
    });
    let live: Vec<Live> = live.collect();
    RawTrace::snapshot(root, &live, Now(100 * STEP.as_nanos() as u64))
}

fn told(tree: &Tree) -> Vec<String> {
    let frames = walk(&tree.frames);
    frames
        .map(|frame| format!("{frame:?} {:?} {}", frame.times, frame.is_resource))
        .collect()
}

/// That its tree is the same whether it was made by itself or of the pattern.
#[track_caller]
fn check(raw: &RawTrace) {
    let made = Making::new().make(Detail::Tidy, raw);
    assert_eq!(told(made.tree(raw)), told(&tidy::tree(raw, &[]).tree));
}

#[track_caller]
fn are_same(one: &RawTrace, other: &RawTrace, expected: bool) {
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
    are_same(&one, &other, true);
}

#[test]
fn of_frames_at_the_same_place_it_is_the_longest_time() {
    let one = raw(1, &[(0, None, 5, Some(1)), (0, None, 3, Some(4))]);
    let other = raw(2, &[(0, None, 2, Some(9)), (0, None, 8, Some(3))]);
    are_same(&one, &other, true);
}

#[test]
fn the_order_of_labels_decides() {
    let labelled = |task, one, other| raw(task, &[(0, one, 1, None), (0, other, 2, None)]);
    let ab = labelled(1, Some("a"), Some("b"));
    are_same(&ab, &labelled(2, Some("x"), Some("y")), true);
    for (one, other) in [
        (Some("b"), Some("a")),
        (Some("a"), Some("a")),
        (Some("a"), None),
        (None, Some("a")),
        (None, None),
    ] {
        are_same(&ab, &labelled(2, one, other), false);
    }
}

#[test]
fn what_is_below_what_decides() {
    let below = raw(1, &[(0, None, 1, None), (1, None, 1, None)]);
    let beside = raw(2, &[(0, None, 1, None), (0, None, 1, None)]);
    let held = raw(3, &[(0, None, 1, None), (1, None, 1, Some(1))]);
    let ended = raw(4, &[(0, None, 1, None), (7, None, 1, None)]);
    are_same(&below, &beside, false);
    are_same(&below, &held, false);
    are_same(&below, &ended, false);
}

#[test]
fn large_ones_are_made_by_themselves() {
    let large = raw(1, &vec![(0, None, 1, None); 140_000]);
    assert!(matches!(
        Making::new().make(Detail::Tidy, &large),
        Made::Alone(_)
    ));
    check(&large);
}

#[test]
fn the_longest_keys_find_their_frames() {
    let frames: Vec<_> = (0..50)
        .map(|parent| (parent, None, parent as u32, None))
        .collect();
    let mut turned = frames.clone();
    turned[49].0 = 48;
    are_same(&raw(1, &frames), &raw(2, &frames), true);
    are_same(&raw(1, &frames), &raw(2, &turned), false);
}

#[test]
fn alike_traces_share_one_pattern_in_each_detail() {
    let alike = |task| raw(task, &[(0, None, task as u32, None)]);
    for detail in [Detail::Tidy, Detail::Full] {
        let [one, other] = [1, 2].map(|task| Making::new().make(detail, &alike(task)));
        let (Made::Alike(one, _), Made::Alike(other, _)) = (one, other) else {
            panic!("they share one");
        };
        assert!(Arc::ptr_eq(&one, &other));
    }
}
