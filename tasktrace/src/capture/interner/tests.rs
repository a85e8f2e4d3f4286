use std::time::Duration;

use super::*;
use crate::origin::{CLOCK_STEP, FrameMeta, Origin};

static ROOT: FrameMeta = FrameMeta::new(None, || "app::main::item", "src/main.rs", 1, 2);
static ONE: FrameMeta = FrameMeta::new(None, || "app::one::item", "src/main.rs", 9, 2);
static TWO: FrameMeta = FrameMeta::new(None, || "app::two::item", "src/main.rs", 19, 2);

/// The moment as of which ages are computed: the beginning of step 101.
const NOW: SnapshotTime = SnapshotTime(100 * CLOCK_STEP.as_nanos() as u64);

/// A frame: the number of its parent, counted from 1, its function, its age in steps, and, if it is held, the number of
/// steps since its last poll.
type FrameSpec = (u64, &'static FrameMeta, u32, Option<u32>);

/// Returns live frames in this order. Their keys begin after `first`.
fn live(first: u64, frames: &[FrameSpec]) -> Vec<FrameSnapshot> {
    let key = |number: u64| if number == 0 { 0 } else { first + number };
    let frames = frames.iter().zip(1..);
    let live = frames.map(
        |((parent, meta, age, not_polled_for), number)| FrameSnapshot {
            key: key(number),
            parent: key(*parent),
            identity: Identity::Static(meta),
            since: 101 - age,
            polled: 101 - not_polled_for.unwrap_or(0),
            is_held: not_polled_for.is_some(),
        },
    );
    live.collect()
}

fn snapshot(number: u64, live: &[FrameSnapshot]) -> RawTrace {
    let task = ScopeMarker {
        task: number,
        key: Some(0),
        identity: Identity::Static(&ROOT),
        own_waker: false,
    };
    RawTrace::snapshot(task, live, NOW)
}

fn share_a_capture(one: &[FrameSnapshot], other: &[FrameSnapshot]) -> bool {
    snapshot(1, one).shares_capture(&snapshot(2, other))
}

fn share_memos(one: &[FrameSnapshot], other: &[FrameSnapshot]) -> bool {
    let [one, other] = [(1, one), (2, other)].map(|(number, live)| snapshot(number, live));
    let (one, other) = (one.memos(), other.memos());
    one.zip(other)
        .is_some_and(|(one, other)| Arc::ptr_eq(one, other))
}

#[test]
fn traces_are_equal_if_their_captures_and_times_are() {
    let raw = |task: u64, age, not_polled_for| {
        snapshot(task, &live(task * 100, &[(0, &ONE, age, not_polled_for)]))
    };
    assert_eq!(raw(1, 10, None), raw(2, 10, None));
    assert_eq!(raw(1, 10, Some(5)), raw(2, 10, Some(5)));
    assert_ne!(raw(1, 10, None), raw(2, 11, None));
    assert_ne!(raw(1, 10, Some(5)), raw(2, 10, Some(6)));
    assert_ne!(raw(1, 10, None), raw(2, 10, Some(10)));
    let mut later = raw(2, 10, None);
    later.set_time(SnapshotTime(NOW.0 + 1));
    assert_ne!(raw(1, 10, None), later);
}

#[test]
fn equal_captures_have_their_own_times() {
    let raw = |task: u64, age| {
        let frames = [(0, &ONE, age, None), (1, &TWO, age + 1, Some(age + 2))];
        snapshot(task, &live(task * 100, &frames))
    };
    let traces = [raw(1, 10), raw(2, 20), raw(3, 30)];
    for (trace, age) in traces.iter().zip([10, 20, 30]) {
        assert!(trace.shares_capture(&traces[0]));
        assert_eq!(
            [trace.age(0), trace.age(1)],
            [CLOCK_STEP * age, CLOCK_STEP * (age + 1)]
        );
        assert_eq!(trace.not_polled_for(0), None);
        assert_eq!(trace.not_polled_for(1), Some(CLOCK_STEP * (age + 2)));
        assert_eq!(trace.not_polled_for(2), None);
    }
}

#[test]
fn captures_that_differ_in_nesting_or_functions_are_not_shared() {
    let base = [(0, &ONE, 1, None), (1, &TWO, 2, None)];
    let base = live(100, &base);
    let same = live(7, &[(0, &ONE, 3, None), (1, &TWO, 4, None)]);
    assert!(share_a_capture(&base, &same));
    let others: [&[FrameSpec]; 6] = [
        &[],
        &[(0, &ONE, 1, None)],
        // Two frames side by side.
        &[(0, &ONE, 1, None), (0, &TWO, 2, None)],
        // Nested the other way round.
        &[(2, &ONE, 1, None), (0, &TWO, 2, None)],
        &[(0, &TWO, 1, None), (1, &TWO, 2, None)],
        &[(0, &ONE, 1, None), (1, &TWO, 2, Some(1))],
    ];
    for other in others {
        assert!(!share_memos(&base, &live(100, other)));
    }
}

#[test]
fn captures_with_labels_share_only_memos() {
    let labelled = |label: &str| {
        let mut live = live(1, &[(0, &ONE, 1, None)]);
        live[0].identity = Identity::new(Origin::Function(&ONE), Some(label.into()), None);
        live
    };
    let [a, b] = ["a", "b"].map(labelled);
    for other in [&a, &b] {
        assert!(!share_a_capture(&a, other));
        assert!(share_memos(&a, other));
    }
    let plain = live(1, &[(0, &ONE, 1, None)]);
    assert!(!share_memos(&a, &plain));
    // A frame that awaits a task is not plain, although it has no label.
    let mut awaiting = plain.clone();
    awaiting[0].identity = Identity::new(Origin::Function(&ONE), None, Some(7));
    assert!(!share_a_capture(&awaiting, &plain) && !share_a_capture(&plain, &awaiting));
    assert!(!share_a_capture(&awaiting, &awaiting));
}

#[test]
fn inline_and_boxed_times_are_returned_for_all_frames() {
    for count in [0, 6, 11, 12, 13, 50] {
        for held in [None, Some(2)] {
            let frames: Vec<_> = (0..count).map(|at| (at, &ONE, at as u32, held)).collect();
            let trace = snapshot(1, &live(5, &frames));
            assert!(trace.shares_capture(&snapshot(2, &live(6, &frames))));
            for at in 0..count as usize {
                assert_eq!(trace.age(at), CLOCK_STEP * at as u32);
                assert_eq!(
                    trace.not_polled_for(at),
                    held.map(|steps| CLOCK_STEP * steps)
                );
            }
        }
    }
}

#[test]
fn ages_follow_the_moment_that_is_set() {
    for count in [1, 6, 30] {
        let frames: Vec<_> = (0..count).map(|at| (at, &ONE, 10, Some(1))).collect();
        let mut trace = snapshot(1, &live(5, &frames));
        assert_eq!(trace.age(0), 10 * CLOCK_STEP);
        trace.set_time(SnapshotTime(98 * CLOCK_STEP.as_nanos() as u64));
        for at in 0..count as usize {
            assert_eq!(trace.age(at), 8 * CLOCK_STEP);
            // The frame was polled after that moment.
            assert_eq!(trace.not_polled_for(at), Some(Duration::ZERO));
        }
    }
}

#[test]
fn captures_above_the_size_limit_are_not_kept() {
    let frames = vec![(0, &ONE, 1, None); MAX_SIZE / 2];
    let large = live(1, &frames);
    assert!(snapshot(1, &large).memos().is_none());
    assert!(!share_a_capture(&large, &large));
}

#[test]
fn the_interner_of_a_thread_is_bounded() {
    let kept = || INTERNER.with_borrow(|interner| (interner.known.len(), interner.size));
    let mut size = 0;
    // A recursion that is eight frames deeper in each task.
    for depth in (1..MAX_CAPTURES as u64).map(|depth| 8 * depth) {
        let frames: Vec<_> = (0..depth).map(|parent| (parent, &ONE, 1, None)).collect();
        snapshot(depth, &live(5, &frames));
        size += 2 * frames.len();
        let kept = kept();
        assert!(
            (1..=MAX_CAPTURES).contains(&kept.0) && kept.1 <= MAX_SIZE,
            "{kept:?}"
        );
    }
    assert!(size > MAX_SIZE);
}

#[test]
fn ages_are_counted_from_the_beginning_of_a_step() {
    let step = CLOCK_STEP.as_nanos() as u64;
    let now = SnapshotTime(3 * step + 5);
    assert_eq!(now.since(1), 3 * step + 5);
    assert_eq!(now.since(4), 5);
    // Step 5 has not begun at that moment.
    assert_eq!(now.since(5), 0);
}
