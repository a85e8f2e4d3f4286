use super::*;
use crate::capture::{Live, Marker, Now};
use crate::origin::{FrameMeta, Identity, Origin};
use crate::trace::{Making, tidy};

static ROOT: FrameMeta = FrameMeta::new(None, || "app::main::item", "src/main.rs", 1, 2);
static CALL: FrameMeta = FrameMeta::new(None, || "app::call::item", "src/main.rs", 9, 2);

/// A task with frames below each other or side by side: the number of the parent from 1 on, the label,
/// the age, and for how long it was not polled.
type Frames<'a> = &'a [(u64, Option<&'a str>, u64, Option<u64>)];

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
        age: Duration::from_secs(*age),
        not_polled_for: not_polled.map(Duration::from_secs),
        told: Now(0),
    });
    let live: Vec<Live> = live.collect();
    RawTrace::snapshot(&root, &live)
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
    let key = |raw| {
        let mut key = Key::default();
        assert!(may_have(raw));
        key.fill(Detail::Tidy, raw);
        key
    };
    assert_eq!(key(one) == key(other), expected);
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
    let frames = [(0, None, 1, None); 2000];
    let large = raw(1, &frames);
    assert!(!may_have(&large));
    check(&large);
}

#[test]
fn the_longest_keys_find_their_frames() {
    let frames: Vec<_> = (0..50).map(|parent| (parent, None, parent, None)).collect();
    let mut turned = frames.clone();
    turned[49].0 = 48;
    are_same(&raw(1, &frames), &raw(2, &frames), true);
    are_same(&raw(1, &frames), &raw(2, &turned), false);
}

#[test]
fn what_is_kept_is_bounded() {
    // A recursion that comes a step further from task to task.
    let mut kept = 0;
    for depth in 450..600 {
        let frames: Vec<_> = (0..depth).map(|parent| (parent, None, 1, None)).collect();
        let raw = raw(depth, &frames);
        assert!(may_have(&raw));
        Making::new().make(Detail::Tidy, &raw);
        // Each has as many frames, and three words for each.
        kept += depth as usize * 4;
        assert!(known::size() < known::MOST_FRAMES + (1 << 13), "{kept}");
    }
    assert!(kept > known::MOST_FRAMES);
}
