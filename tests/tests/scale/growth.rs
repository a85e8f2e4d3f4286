//! Tests that the work for a dump grows linearly with the frames in it, from the capture to each output format.
//!
//! [`measure`](crate::measure) measures the work.

use std::future::Future as _;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;
use tasktrace::__private::{CurrentTest, FrameMeta, Limit, RunningTest};
use tasktrace::{Dump, Weight};
use tasktrace_tests::HOUR;
use tower_service::Service as _;

use crate::measure::{self, SCALE};
use crate::shapes::{self, Shape};

type Form = fn(&Dump) -> usize;

const FORMS: [(&str, Form); 8] = [
    ("text", |dump| dump.to_string().len()),
    ("whole text", |dump| format!("{dump:#}").len()),
    ("forest", |dump| dump.by_awaiter().to_string().len()),
    ("JSON", |dump| dump.json().to_string().len()),
    ("kinds and traces", |dump| {
        let traces = dump.tasks().map(tasktrace::TaskDump::trace);
        traces.map(|trace| trace.to_string().len()).sum()
    }),
    ("folded", |dump| {
        dump.folded(Weight::Tasks).to_string().len()
    }),
    ("flamegraph", |dump| {
        let mut svg = Vec::new();
        dump.write_flamegraph(Weight::Waited, &mut svg).unwrap();
        svg.len()
    }),
    ("pprof", |dump| {
        let mut profile = Vec::new();
        dump.write_pprof(&mut profile).unwrap();
        profile.len()
    }),
];

type Operation = fn() -> usize;

/// Operations that begin with a scan of all tasks, and return the length of their output.
const OPERATIONS: [(&str, Operation); 5] = [
    ("a profile", || {
        let profile = tasktrace::profile().lasting(Duration::from_millis(30));
        profile.run_blocking().to_string().len()
    }),
    ("a look of a watchdog", || tasktrace::__private::scans()()),
    ("the report of a hung test", || {
        static TEST: FrameMeta = FrameMeta::new(None, || "scale::hung::", file!(), line!(), 1);
        let _running = RunningTest::new(&TEST, Limit::None);
        let report = tasktrace::__private::report_tests(HOUR);
        report.expect("a test is running").len()
    }),
    ("the page", || requested("/view.json?capture=0")),
    ("JSON over HTTP", || requested("/dump.json?capture=0")),
];

/// Requests `path` from a service, and returns the length of the response.
fn requested(path: &str) -> usize {
    let mut service = tasktrace::http::builder()
        .max_response(usize::MAX)
        .service();
    let request = Request::get(path).header("Host", "localhost").body(());
    let response = service.call(request.unwrap());
    futures::executor::block_on(async {
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await;
        body.expect("it is read at once").to_bytes().len()
    })
}

/// Returns the work of each part of a dump of `count` frames.
fn parts(shape: Shape, count: usize, take: fn() -> Dump) -> Vec<(&'static str, u64)> {
    let _runtime = shapes::running(shape, count);
    let (taken, dump) = measure::of(take);
    let mut parts = vec![("taking it", taken)];
    let forms = FORMS.map(|(name, make)| (name, measure::of(|| make(&dump)).0));
    parts.extend(forms);
    drop(dump);
    // The number of a profile's samples and of a watchdog's second scans depends on the time, so the number of their
    // steps varies.
    let is_steady = |name: &str| !["a profile", "a look of a watchdog"].contains(&name);
    let operations = OPERATIONS
        .iter()
        .filter(|(name, _)| SCALE.unit != "steps" || is_steady(name));
    parts.extend(operations.map(|(name, run)| (*name, measure::of(run).0)));
    parts
}

/// Asserts that in one of the tries, which measure the work for a small and a large input, the work grew linearly.
#[track_caller]
fn assert_linear(tries: impl Iterator<Item = (u64, u64)>) {
    let tries: Vec<_> = tries.collect();
    let is_linear = |(small, large): &(u64, u64)| !SCALE.is_exceeded(*small, *large);
    assert!(tries.iter().any(is_linear), "{tries:?}");
}

/// Asserts that no part of a dump grows more than linearly in `rounds` rounds, for each shape.
fn check(shapes: &[(&str, Shape)], large: usize, take: fn() -> Dump) {
    let _alone = crate::alone();
    let small = SCALE.small(large);
    for (name, shape) in shapes {
        // The first round looks up the symbols.
        parts(*shape, small, take);
        let grown = || {
            let small = parts(*shape, small, take);
            let both = small.into_iter().zip(parts(*shape, large, take));
            let both = both.map(|((part, small), (_, large))| (part, small, large));
            both.filter(|(_, small, large)| SCALE.is_exceeded(*small, *large))
        };
        let mut wrong: Vec<_> = grown().collect();
        for _ in 1..SCALE.rounds {
            if wrong.is_empty() {
                break;
            }
            let again: Vec<_> = grown().map(|(part, ..)| part).collect();
            wrong.retain(|(part, ..)| again.contains(part));
        }
        let unit = SCALE.unit;
        assert!(
            wrong.is_empty(),
            "{name}, {small} and {large}, in {unit}: {wrong:?}"
        );
    }
}

/// Returns a size for the build: debug builds take about twenty times as long.
const fn size(debug: usize, release: usize) -> usize {
    if cfg!(debug_assertions) {
        debug
    } else {
        release
    }
}

#[test]
fn the_work_for_a_capture_is_linear_in_its_frames() {
    let take = || tasktrace::dump_blocking(HOUR);
    for shape in shapes::ALL {
        // Captures of larger `deep` and `mixed` tasks are cut off, which is other work.
        let large = match shape.0 {
            "deep" => 50_000,
            "mixed" => 4_000,
            _ => 100_000,
        };
        check(&[shape], size(800, large), take);
    }
}

#[test]
fn the_work_for_a_snapshot_is_linear_in_its_frames() {
    let (comb, others): (Vec<_>, Vec<_>) = shapes::LIVE
        .into_iter()
        .partition(|(name, _)| *name == "comb");
    check(&others, size(16_000, 100_000), tasktrace::snapshot);
    // A comb is polled by recursion, and traces of few frames are cached, which is other work.
    check(&comb, size(4_000, 100_000), tasktrace::snapshot);
}

/// The total length of the stacks is quadratic in the levels, but each stack shares most of its frames with the one
/// before. Steps would count the comparisons of shared frames, which take next to no time.
#[cfg(not(tasktrace_steps))]
#[test]
fn frames_shared_by_the_leaves_of_all_levels_are_made_once() {
    // A capture of a larger comb reaches its limits, so it would not do all of the work.
    let combs: [(Shape, usize); 2] = [
        (shapes::comb, size(400, 600)),
        (shapes::unordered_comb, size(120, 600)),
    ];
    let _alone = crate::alone();
    let made = |comb: Shape, levels: usize| {
        let _runtime = shapes::running(comb, levels);
        let dump = tasktrace::dump_blocking(HOUR);
        let traces = || dump.tasks().map(tasktrace::TaskDump::trace);
        let (work, leaves) = measure::of(|| {
            let full: usize = traces().map(|trace| trace.all_frames().len()).sum();
            assert_ne!(full, 0);
            traces().map(|trace| trace.leaves().len()).sum::<usize>()
        });
        assert_eq!(leaves, levels + 1);
        work
    };
    for (comb, levels) in combs {
        // The first round looks up the symbols.
        made(comb, 20);
        let small = SCALE.small(levels);
        let tries: Vec<_> = (0..SCALE.rounds)
            .map(|_| (made(comb, small), made(comb, levels)))
            .collect();
        // The stacks of eight times as many levels have 64 times as many frames. A step for each of these, however small,
        // would exceed this limit.
        let is_linear = |(small, large): &(u64, u64)| *large < 12 * *small;
        assert!(tries.iter().any(is_linear), "{tries:?}");
    }
}

/// Each task awaits the one spawned before it, so the test's body leads to the last task first.
#[test]
fn the_tasks_of_a_test_are_found_in_linear_time() {
    static TEST: FrameMeta = FrameMeta::new(None, || "scale::backwards::", file!(), line!(), 1);
    let _alone = crate::alone();
    let report = |count: usize| {
        let runtime = tasktrace_tests::multi_thread();
        let inside = runtime.enter();
        let mut last = tasktrace::spawn(std::future::pending::<()>());
        for _ in 0..count {
            last = tasktrace::spawn(async move { last.await.unwrap() });
        }
        drop(inside);
        while tasktrace::tasks().any(|task| task.polls() == 0) {
            std::thread::yield_now();
        }
        let _running = RunningTest::new(&TEST, Limit::None);
        let fail = |report| panic!("{report}");
        let body = tasktrace::__private::test(&TEST, CurrentTest::get(), fail, last, |_| None);
        let mut body = Box::pin(body);
        let mut context = Context::from_waker(Waker::noop());
        assert!(body.as_mut().poll(&mut context).is_pending());
        // Nothing polls the body, so the report waits for it until the budget is spent.
        let budget = Duration::from_millis(100);
        let (work, report) = measure::of(|| tasktrace::__private::report_tests(budget));
        assert!(report.is_some(), "a test is running");
        work
    };
    let large = size(8_000, 100_000);
    report(100);
    assert_linear((0..SCALE.rounds).map(|_| (report(SCALE.small(large)), report(large))));
}

#[test]
fn the_work_for_a_trace_of_here_is_linear_in_its_depth() {
    let _alone = crate::alone();
    let at = |depth: usize| {
        let run = move || {
            let mut task = Box::pin(here(depth));
            let mut context = Context::from_waker(Waker::noop());
            match task.as_mut().poll(&mut context) {
                Poll::Ready(work) => work,
                Poll::Pending => unreachable!("it waits for nothing"),
            }
        };
        let thread = std::thread::Builder::new().stack_size(1 << 30).spawn(run);
        thread.unwrap().join().unwrap()
    };
    let small = SCALE.small(size(4_000, 50_000));
    // The first round looks up the symbols.
    at(small);
    // Each try has depths of its own, because the symbols of a trace are cached for equal traces.
    assert_linear((small + 1..small + 4).map(|small| (at(small), at(SCALE.times * small))));
}

#[tasktrace::traced]
async fn here(depth: usize) -> u64 {
    match depth {
        0 => measure::of(|| tasktrace::Trace::here().unwrap().to_string().len()).0,
        _ => Box::pin(here(depth - 1)).await,
    }
}
