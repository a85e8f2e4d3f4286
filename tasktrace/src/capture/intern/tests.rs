use std::time::Duration;

use super::*;
use crate::origin::{FrameMeta, Origin, STEP};

static ROOT: FrameMeta = FrameMeta::new(None, || "app::main::item", "src/main.rs", 1, 2);
static ONE: FrameMeta = FrameMeta::new(None, || "app::one::item", "src/main.rs", 9, 2);
static TWO: FrameMeta = FrameMeta::new(None, || "app::two::item", "src/main.rs", 19, 2);

/// When the times are told: at the beginning of step 101.
const NOW: Now = Now(100 * STEP.as_nanos() as u64);

/// A frame: the number of its parent from 1 on, its function, its age in steps, and the steps for which it was not polled.
type Frame = (u64, &'static FrameMeta, u32, Option<u32>);

/// Keys are from `first` on, in this order.
fn live(first: u64, frames: &[Frame]) -> Vec<Live> {
    let key = |number: u64| if number == 0 { 0 } else { first + number };
    let frames = frames.iter().zip(1..);
    let live = frames.map(|((parent, meta, age, not_polled_for), number)| Live {
        key: key(number),
        parent: key(*parent),
        identity: Identity::Static(meta),
        since: 101 - age,
        polled: 101 - not_polled_for.unwrap_or(0),
        is_held: not_polled_for.is_some(),
    });
    live.collect()
}

fn snapshot(number: u64, live: &[Live]) -> RawTrace {
    let task = Marker {
        task: number,
        key: Some(0),
        identity: Identity::Static(&ROOT),
        own_waker: false,
    };
    RawTrace::snapshot(task, live, NOW)
}

fn are_alike(one: &[Live], other: &[Live]) -> bool {
    snapshot(1, one).is_same(&snapshot(2, other))
}

fn share_memos(one: &[Live], other: &[Live]) -> bool {
    let [one, other] = [(1, one), (2, other)].map(|(number, live)| snapshot(number, live));
    let (one, other) = (one.memos(), other.memos());
    one.zip(other)
        .is_some_and(|(one, other)| Arc::ptr_eq(one, other))
}

#[test]
fn alike_captures_have_their_own_times() {
    let raw = |task: u64, age| {
        let frames = [(0, &ONE, age, None), (1, &TWO, age + 1, Some(age + 2))];
        snapshot(task, &live(task * 100, &frames))
    };
    let traces = [raw(1, 10), raw(2, 20), raw(3, 30)];
    for (trace, age) in traces.iter().zip([10, 20, 30]) {
        assert!(trace.is_same(&traces[0]));
        assert_eq!([trace.age(0), trace.age(1)], [STEP * age, STEP * (age + 1)]);
        assert_eq!(trace.not_polled_for(0), None);
        assert_eq!(trace.not_polled_for(1), Some(STEP * (age + 2)));
        assert_eq!(trace.not_polled_for(2), None);
    }
}

#[test]
fn frames_in_each_other_and_their_functions_tell_captures_apart() {
    let base = [(0, &ONE, 1, None), (1, &TWO, 2, None)];
    let base = live(100, &base);
    let same = live(7, &[(0, &ONE, 3, None), (1, &TWO, 4, None)]);
    assert!(are_alike(&base, &same));
    let others: [&[Frame]; 6] = [
        &[],
        &[(0, &ONE, 1, None)],
        // Side by side.
        &[(0, &ONE, 1, None), (0, &TWO, 2, None)],
        // The other way round.
        &[(2, &ONE, 1, None), (0, &TWO, 2, None)],
        &[(0, &TWO, 1, None), (1, &TWO, 2, None)],
        &[(0, &ONE, 1, None), (1, &TWO, 2, Some(1))],
    ];
    for other in others {
        assert!(!share_memos(&base, &live(100, other)));
    }
}

#[test]
fn a_capture_with_labels_is_its_own_and_shares_memos() {
    let labelled = |label: &str| {
        let mut live = live(1, &[(0, &ONE, 1, None)]);
        live[0].identity = Identity::new(Origin::Function(&ONE), Some(label.into()), None);
        live
    };
    let [a, b] = ["a", "b"].map(labelled);
    for other in [&a, &b] {
        assert!(!are_alike(&a, other));
        assert!(share_memos(&a, other));
    }
    let plain = live(1, &[(0, &ONE, 1, None)]);
    assert!(!share_memos(&a, &plain));
    // One that awaits a task has no label, and is known by more than its function all the same.
    let mut awaiting = plain.clone();
    awaiting[0].identity = Identity::new(Origin::Function(&ONE), None, Some(7));
    assert!(!are_alike(&awaiting, &plain) && !are_alike(&plain, &awaiting));
    assert!(!are_alike(&awaiting, &awaiting));
}

#[test]
fn times_are_told_of_all_frames_however_many_there_are() {
    for count in [0, 6, 11, 12, 13, 50] {
        for held in [None, Some(2)] {
            let frames: Vec<_> = (0..count).map(|at| (at, &ONE, at as u32, held)).collect();
            let trace = snapshot(1, &live(5, &frames));
            assert!(trace.is_same(&snapshot(2, &live(6, &frames))));
            for at in 0..count as usize {
                assert_eq!(trace.age(at), STEP * at as u32);
                assert_eq!(trace.not_polled_for(at), held.map(|steps| STEP * steps));
            }
        }
    }
}

#[test]
fn times_are_told_as_of_another_moment() {
    for count in [1, 6, 30] {
        let frames: Vec<_> = (0..count).map(|at| (at, &ONE, 10, Some(1))).collect();
        let mut trace = snapshot(1, &live(5, &frames));
        assert_eq!(trace.age(0), 10 * STEP);
        trace.tell_as_of(Now(98 * STEP.as_nanos() as u64));
        for at in 0..count as usize {
            assert_eq!(trace.age(at), 8 * STEP);
            // It was polled later than that.
            assert_eq!(trace.not_polled_for(at), Some(Duration::ZERO));
        }
    }
}

#[test]
fn large_captures_are_not_kept() {
    let frames = vec![(0, &ONE, 1, None); MOST_SIZE / 2];
    let large = live(1, &frames);
    assert!(snapshot(1, &large).memos().is_none());
    assert!(!are_alike(&large, &large));
}

#[test]
fn the_captures_of_a_thread_are_bounded() {
    let kept = || INTERNER.with_borrow(|interner| (interner.known.len(), interner.size));
    let mut size = 0;
    // A recursion that comes some steps further from task to task.
    for depth in (1..MOST as u64).map(|depth| 8 * depth) {
        let frames: Vec<_> = (0..depth).map(|parent| (parent, &ONE, 1, None)).collect();
        snapshot(depth, &live(5, &frames));
        size += 2 * frames.len();
        let kept = kept();
        assert!(
            (1..=MOST).contains(&kept.0) && kept.1 <= MOST_SIZE,
            "{kept:?}"
        );
    }
    assert!(size > MOST_SIZE);
}

#[test]
fn steps_of_time() {
    let step = STEP.as_nanos() as u64;
    let now = Now(3 * step + 5);
    assert_eq!(now.since(1), 3 * step + 5);
    assert_eq!(now.since(4), 5);
    // It has begun since.
    assert_eq!(now.since(5), 0);
}
