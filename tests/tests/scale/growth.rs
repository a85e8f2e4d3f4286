//! The work for a dump grows as what it is of does, from the capture to each form of it.
//!
//! See [`measure`](crate::measure) for how that is found out.

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

type Look = fn() -> usize;

/// What begins with a look at all tasks, and what of it is shown.
const LOOKS: [(&str, Look); 5] = [
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

/// Returns the length of a response.
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

/// The work of each part with so many.
fn parts(shape: Shape, count: usize, take: fn() -> Dump) -> Vec<(&'static str, u64)> {
    let _runtime = shapes::running(shape, count);
    let (taken, dump) = measure::of(take);
    let mut parts = vec![("taking it", taken)];
    let forms = FORMS.map(|(name, make)| (name, measure::of(|| make(&dump)).0));
    parts.extend(forms);
    drop(dump);
    // How often a profile looks, and at what a watchdog looks twice, depends on the time, so they take no
    // steady number of steps.
    let is_steady = |name: &str| !["a profile", "a look of a watchdog"].contains(&name);
    let looks = LOOKS
        .iter()
        .filter(|(name, _)| SCALE.unit != "steps" || is_steady(name));
    parts.extend(looks.map(|(name, look)| (*name, measure::of(look).0)));
    parts
}

fn check(shapes: &[(&str, Shape)], large: usize, take: fn() -> Dump) {
    let _alone = crate::alone();
    let small = SCALE.small(large);
    for (name, shape) in shapes {
        // This looks up the symbols.
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

/// Debug builds take some twenty times as long.
const fn size(debug: usize, release: usize) -> usize {
    if cfg!(debug_assertions) {
        debug
    } else {
        release
    }
}

#[test]
fn captures_are_linear_in_what_they_are_of() {
    let take = || tasktrace::dump_blocking(HOUR);
    for shape in shapes::ALL {
        // Of larger ones of these a part is not recorded, which is other work.
        let large = match shape.0 {
            "deep" => 50_000,
            "mixed" => 4_000,
            _ => 100_000,
        };
        check(&[shape], size(800, large), take);
    }
}

#[test]
fn snapshots_are_linear_in_what_they_are_of() {
    let (comb, others): (Vec<_>, Vec<_>) = shapes::LIVE
        .into_iter()
        .partition(|(name, _)| *name == "comb");
    check(&others, size(16_000, 100_000), tasktrace::snapshot);
    // It is polled by recursion. What is made of fewer frames is kept, and not made again.
    check(&comb, size(4_000, 100_000), tasktrace::snapshot);
}

/// The stacks are as long as the square of the levels, but most of each is as in the one before. Steps
/// would count how often that is compared, which takes next to no time.
#[cfg(not(tasktrace_steps))]
#[test]
fn frames_of_a_leaf_at_each_level_are_made_once() {
    let (_, comb) = shapes::LIVE
        .into_iter()
        .find(|(name, _)| *name == "comb")
        .unwrap();
    let _alone = crate::alone();
    let made = |levels: usize| {
        let _runtime = shapes::running(comb, 2 * levels);
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
    let levels = size(400, 600);
    // This looks up the symbols.
    made(20);
    let tries = (0..SCALE.rounds).map(|_| (made(SCALE.small(levels)), made(levels)));
    let tries: Vec<_> = tries.collect();
    let is_linear = |(small, large): &(u64, u64)| !SCALE.is_exceeded(*small, *large);
    assert!(tries.iter().any(is_linear), "{tries:?}");
}

/// Each task awaits the one that was made before it, so the body of the test leads to the last first.
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
        // Nobody polls the body, so this is for how long it is waited for.
        let budget = Duration::from_millis(100);
        let (work, report) = measure::of(|| tasktrace::__private::report_tests(budget));
        assert!(report.is_some(), "a test is running");
        work
    };
    let large = size(8_000, 100_000);
    report(100);
    let tries = (0..SCALE.rounds).map(|_| (report(SCALE.small(large)), report(large)));
    let tries: Vec<_> = tries.collect();
    let is_linear = |(small, large): &(u64, u64)| !SCALE.is_exceeded(*small, *large);
    assert!(tries.iter().any(is_linear), "{tries:?}");
}

#[test]
fn a_trace_of_here_is_linear_in_its_depth() {
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
    // This looks up the symbols.
    at(small);
    // Each depth is another, as what is made of a trace is kept for those that are the same.
    let tries = (small + 1..small + 4).map(|small| (at(small), at(SCALE.times * small)));
    let tries: Vec<_> = tries.collect();
    let is_linear = |(small, large): &(u64, u64)| !SCALE.is_exceeded(*small, *large);
    assert!(tries.iter().any(is_linear), "{tries:?}");
}

#[tasktrace::traced]
async fn here(depth: usize) -> u64 {
    match depth {
        0 => measure::of(|| tasktrace::Trace::here().unwrap().to_string().len()).0,
        _ => Box::pin(here(depth - 1)).await,
    }
}
