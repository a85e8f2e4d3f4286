use std::time::Duration;

use super::*;
use crate::capture::form::{FEW, Times};
use crate::capture::live::Now;
use crate::origin::STEP;
use crate::origin::{FrameMeta, Origin};

static ROOT: FrameMeta = FrameMeta::new(None, || "app::main::item", "src/main.rs", 1, 2);
static ONE: FrameMeta = FrameMeta::new(None, || "app::one::item", "src/main.rs", 9, 2);
static TWO: FrameMeta = FrameMeta::new(None, || "app::two::item", "src/main.rs", 19, 2);

/// What a frame is below, by its number from 1 on, what it is, its age, and for how long it was not polled.
type Frame = (u64, &'static FrameMeta, u64, Option<u64>);

/// Keys are from `first` on, in this order.
fn live(first: u64, frames: &[Frame]) -> Vec<Live> {
    let key = |number: u64| if number == 0 { 0 } else { first + number };
    let frames = frames.iter().zip(1..);
    let live = frames.map(|((parent, meta, age, not_polled_for), number)| Live {
        key: key(number),
        parent: key(*parent),
        identity: Identity::Static(meta),
        age: Duration::from_nanos(*age),
        not_polled_for: not_polled_for.map(Duration::from_nanos),
        told: Now(0),
    });
    live.collect()
}

fn task(number: u64) -> Marker {
    Marker {
        task: number,
        key: Some(0),
        identity: Identity::Static(&ROOT),
        own_waker: false,
    }
}

fn are_alike(one: &[Live], other: &[Live]) -> bool {
    let [one, other] = [(1, one), (2, other)].map(|(id, live)| RawTrace::snapshot(&task(id), live));
    Arc::ptr_eq(one.form(), other.form())
}

#[test]
fn traces_of_one_form_have_their_own_times() {
    let raw = |task: u64, age| {
        let frames = [(0, &ONE, age, None), (1, &TWO, age + 1, Some(age + 2))];
        RawTrace::snapshot(&self::task(task), &live(task * 100, &frames))
    };
    let traces = [raw(1, 10), raw(2, 20), raw(3, 30)];
    for (trace, age) in traces.iter().zip([10, 20, 30]) {
        assert!(Arc::ptr_eq(trace.form(), traces[0].form()));
        let nanos = Duration::from_nanos;
        assert_eq!([trace.age(0), trace.age(1)], [nanos(age), nanos(age + 1)]);
        assert_eq!(trace.not_polled_for(0), None);
        assert_eq!(trace.not_polled_for(1), Some(nanos(age + 2)));
        assert_eq!(trace.not_polled_for(2), None);
    }
}

#[test]
fn what_tells_forms_apart() {
    let base = [(0, &ONE, 1, None), (1, &TWO, 2, None)];
    let base = live(100, &base);
    assert!(are_alike(
        &base,
        &live(7, &[(0, &ONE, 3, None), (1, &TWO, 4, None)])
    ));
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
        assert!(!are_alike(&base, &live(100, other)));
    }
}

#[test]
fn what_has_more_to_it_has_a_form_of_its_own() {
    let labelled = |label: &str| {
        let mut live = live(1, &[(0, &ONE, 1, None)]);
        live[0].identity = Identity::new(Origin::Function(&ONE), Some(label.into()), None);
        live
    };
    assert!(!are_alike(&labelled("a"), &labelled("b")));
    assert!(!are_alike(&labelled("a"), &labelled("a")));
    // What it is below is not there.
    let orphan = live(1, &[(9, &ONE, 1, None)]);
    assert!(!are_alike(&orphan, &orphan));
}

#[test]
fn many_frames() {
    for count in [FEW - 1, FEW, FEW + 1, 100] {
        let frames: Vec<_> = (0..count as u64).map(|at| (at, &ONE, at, None)).collect();
        let trace = RawTrace::snapshot(&task(1), &live(5, &frames));
        assert!(Arc::ptr_eq(
            trace.form(),
            RawTrace::snapshot(&task(2), &live(6, &frames)).form()
        ));
        let ages = (0..count).map(|at| trace.age(at).as_nanos());
        assert!(ages.eq(0..count as u128));
    }
}

#[test]
fn times_in_steps_are_told_of_all_frames_however_many_are_held() {
    let step = STEP.as_nanos() as u64;
    for count in [FEW / 2, FEW] {
        let frames: Vec<_> = (0..count as u64).map(|at| (at, &ONE, 1, Some(1))).collect();
        let trace = RawTrace::snapshot(&task(1), &live(5, &frames));
        let now = Now(100 * step);
        let times = Times::in_steps(trace.form(), now, |at| 1 + at as u32, |at| 51 + at as u32);
        for at in 0..count as u64 {
            let ago = |begun: u64| Duration::from_nanos((100 - begun) * step);
            assert_eq!(times.get(at as usize), ago(at));
            assert_eq!(times.get(count + at as usize), ago(50 + at));
        }
    }
}

/// Of few frames and of many, in steps and in nanoseconds.
#[test]
fn times_are_told_as_of_another_moment() {
    let step = STEP.as_nanos() as u64;
    let told = Now(100 * step);
    let as_of = Now(98 * step);
    for count in [1, FEW / 2, FEW] {
        let frames: Vec<_> = (0..count as u64)
            .map(|at| (at, &ONE, 10 * step, Some(step)))
            .collect();
        let mut alive = live(5, &frames);
        for frame in &mut alive {
            frame.told = told;
        }
        let mut traces = [(); 2].map(|()| RawTrace::snapshot(&task(1), &alive));
        traces[1].times = Times::in_steps(traces[1].form(), told, |_| 91, |_| 100);
        for mut trace in traces {
            assert_eq!(trace.age(0), 10 * STEP);
            trace.tell_as_of(as_of);
            for at in 0..count {
                assert_eq!(trace.age(at), 8 * STEP);
                // It was polled later than that.
                assert_eq!(trace.not_polled_for(at), Some(Duration::ZERO));
            }
        }
    }
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
