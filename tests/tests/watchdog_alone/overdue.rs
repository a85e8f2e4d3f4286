//! Tests reports on functions that are suspended for longer than their limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tasktrace::__private::{FrameMeta, Function, frame, labelled, limited, type_name};
use tasktrace::StallPhase::{Began, Ended};
use tasktrace::{Source, Stall, TraceHandle, traced};
use tasktrace_tests::by_hand::suspend;
use tasktrace_tests::{current_thread, multi_thread};
use tokio::sync::Notify;

use crate::alone;
use crate::support::{LONG, Reports, SOON, verdict, wait_until, watchdog_without_limits};

const LIMIT: u64 = SOON.as_nanos() as u64;

/// Expands to the same code as `#[traced(wait_limit = "60ms")]`.
fn fetch(notify: Arc<Notify>) -> impl Future<Output = ()> + Send {
    enum Here {}
    fn function() -> &'static Function {
        static META: FrameMeta =
            FrameMeta::new(None, type_name::<Here>, "src/fetch.rs", 3, 1).wait_limit(LIMIT);
        static FUNCTION: Function = Function::of(&META);
        limited(&FUNCTION)
    }
    frame(function, async move { notify.notified().await })
}

/// Expands to the same code as `#[traced("of {number}", wait_limit = "60ms")]`.
fn fetch_one(number: u32, notify: Arc<Notify>) -> impl Future<Output = ()> + Send {
    enum Here {}
    static META: FrameMeta =
        FrameMeta::new(None, type_name::<Here>, "src/fetch.rs", 5, 1).wait_limit(LIMIT);
    labelled(limited(&META), format!("of {number}"), async move {
        notify.notified().await
    })
}

fn spawn<F>(runtime: &tokio::runtime::Runtime, future: F) -> TraceHandle
where
    F: Future<Output: Send> + Send + 'static,
{
    let (future, handle) = tasktrace::traced(future);
    runtime.spawn(future);
    handle
}

#[test]
fn a_function_suspended_beyond_its_limit_is_reported() {
    async fn fetches_in_a_task(notify: Arc<Notify>) {
        loop {
            fetch(notify.clone()).await;
        }
    }

    let _alone = alone();
    let runtime = multi_thread();
    let notify = Arc::new(Notify::new());
    // This watchdog sends no probes: a probe that comes together with a request may be counted as a poll.
    let watchdog = watchdog_without_limits().starved_after(Duration::MAX);
    let reports = Reports::of("fetches_in_a_task", watchdog);
    let handle = spawn(&runtime, fetches_in_a_task(notify.clone()));
    let began = reports.next_is(Stall::Overdue, Began, &handle);
    assert_eq!(began.limit(), SOON);
    assert_eq!(began.function(), Some("watchdog_alone::overdue::fetch"));
    let text = verdict(&began);
    let expected = format!(
        "a function of task {} watchdog_alone::overdue::a_function_suspended_beyond_its_limit_is_reported::fetches_in_a_task has been suspended for ",
        handle.id()
    );
    assert!(text.starts_with(&expected), "{text}");
    let expected =
        ", longer than its limit of 60ms: watchdog_alone::overdue::fetch (fn at src/fetch.rs:3)";
    assert!(text.ends_with(expected), "{text}");

    // A task that is woken only for a request makes no progress.
    let polls = handle.polls();
    let start = Instant::now();
    while start.elapsed() < 5 * SOON {
        assert!(handle.backtrace_timeout(LONG).is_ok());
    }
    assert_eq!(handle.polls(), polls, "polls for traces are not counted");
    notify.notify_one();
    let ended = reports.next_is(Stall::Overdue, Ended, &handle);
    assert!(ended.duration() >= began.duration());
    let text = verdict(&ended);
    assert!(text.contains(" is no longer suspended, after "), "{text}");

    // The function is called again until the task has answered in time for a report: on a busy machine, it may not.
    let mut began = reports.next_is(Stall::Overdue, Began, &handle);
    let start = Instant::now();
    while began.task().source() != &Source::Capture {
        assert!(start.elapsed() < LONG, "no answer:\n{began}");
        notify.notify_one();
        reports.next_is(Stall::Overdue, Ended, &handle);
        began = reports.next_is(Stall::Overdue, Began, &handle);
    }
    assert!(began.to_string().contains("Notify"), "{began}");

    // The task ends in the middle of the function.
    drop(runtime);
    reports.next_is(Stall::Overdue, Ended, &handle);
    reports.no_more();
}

/// The limit holds for the whole program, except for tasks that wait for work, and for functions that have a limit of
/// their own.
#[test]
fn the_wait_limit_of_the_program_holds_for_any_task() {
    // The second wait has a frame. If a probe comes together with the wake, the frame shows that the task has made
    // progress.
    async fn waits_long(notify: Arc<Notify>) {
        notify.notified().await;
        waits_more().await;
    }
    #[traced]
    async fn waits_more() {
        std::future::pending::<()>().await;
    }
    async fn waits_long_for_work() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _ = listener.accept().await;
    }
    async fn waits_long_within_its_limit(notify: Arc<Notify>) {
        enum Here {}
        fn function() -> &'static Function {
            static META: FrameMeta = FrameMeta::new(None, type_name::<Here>, "src/own.rs", 3, 1)
                .wait_limit(3_600_000_000_000);
            static FUNCTION: Function = Function::of(&META);
            limited(&FUNCTION)
        }
        frame(function, async move { notify.notified().await }).await;
    }

    let _alone = alone();
    let runtime = multi_thread();
    let notify = Arc::new(Notify::new());
    let reports = Reports::of("waits_long", watchdog_without_limits().wait_limit(SOON));
    let idle = spawn(&runtime, waits_long_for_work());
    let own = spawn(
        &runtime,
        waits_long_within_its_limit(Arc::new(Notify::new())),
    );
    wait_until(|| idle.polls() > 0 && own.polls() > 0);
    let untraced = runtime.spawn(std::future::pending::<()>());
    let handle = spawn(&runtime, waits_long(notify.clone()));
    let began = reports.next_is(Stall::Overdue, Began, &handle);
    assert_eq!((began.limit(), began.function()), (SOON, None));
    assert_eq!(began.untraced(), 1);
    let text = began.to_string();
    let untraced_note = "1 tokio task on its runtime is not traced, and it may hold the resource that it waits for; to see";
    assert!(text.contains(untraced_note), "{text}");
    let text = verdict(&began);
    assert!(text.contains(", longer than the limit of 60ms: "), "{text}");
    // A busy machine may not answer within the time that the watchdog waits.
    if began.task().source() == &Source::Capture {
        assert!(text.contains("waits_long at "), "{text}");
        assert!(
            text.ends_with(" is waiting on tokio::sync::Notify::notified"),
            "{text}"
        );
    }
    notify.notify_one();
    let ended = reports.next_is(Stall::Overdue, Ended, &handle);
    assert_eq!(ended.untraced(), 0, "{ended}");
    drop(untraced);
}

#[test]
#[expect(deprecated, reason = "deprecated names must keep working")]
fn the_deprecated_names_still_work() {
    static META: FrameMeta = FrameMeta::new(None, || "app::Here", "src/fetch.rs", 3, 1)
        .stalled_after(SOON.as_nanos() as u64);
    assert!(format!("{META:?}").contains("wait_limit: Some(60000000)"));
    let former = tasktrace::watchdog().stalled_after(SOON);
    let now = tasktrace::watchdog().starved_after(SOON);
    assert_eq!(format!("{former:?}"), format!("{now:?}"));
}

#[test]
fn a_task_whose_function_has_a_limit_is_reported() {
    let _alone = alone();
    let runtime = current_thread();
    let notify = Arc::new(Notify::new());
    let reports = Reports::of(
        "watchdog_alone::overdue::fetch_one",
        watchdog_without_limits(),
    );
    let task = runtime.spawn(fetch_one(7, notify.clone()));
    let stop = Arc::new(Notify::new());
    let driver = std::thread::spawn({
        let stop = stop.clone();
        move || runtime.block_on(stop.notified())
    });
    let began = reports.next();
    assert_eq!(
        (began.kind(), began.phase()),
        (Stall::Overdue, Began),
        "\n{began}"
    );
    let text = verdict(&began);
    let expected = format!(
        "task {} watchdog_alone::overdue::fetch_one \"of 7\" has been suspended for ",
        began.task().id()
    );
    assert!(text.starts_with(&expected), "{text}");
    let expected =
        " than its limit of 60ms: watchdog_alone::overdue::fetch_one (fn at src/fetch.rs:5)";
    assert!(text.ends_with(expected), "{text}");
    notify.notify_one();
    let ended = reports.next();
    assert_eq!(
        (ended.kind(), ended.phase()),
        (Stall::Overdue, Ended),
        "\n{ended}"
    );
    assert_eq!(ended.task().id(), began.task().id());
    stop.notify_one();
    driver.join().unwrap();
    drop(task);
}

#[test]
fn functions_with_their_own_wakers_are_reported_separately() {
    async fn fetches_several(all: Vec<Arc<Notify>>) {
        let mut fetches: FuturesUnordered<_> = (0..)
            .zip(all)
            .map(|(number, notify)| fetch_one(number, notify))
            .collect();
        while fetches.next().await.is_some() {}
    }

    let _alone = alone();
    let runtime = multi_thread();
    let all: Vec<_> = (0..6).map(|_| Arc::new(Notify::new())).collect();
    let reports = Reports::of("fetches_several", watchdog_without_limits());
    let handle = spawn(&runtime, fetches_several(all.clone()));
    let label = |report: &tasktrace::StallReport| {
        let text = verdict(report);
        let (_, rest) = text
            .split_once("fetch_one \"of ")
            .expect("the function is named");
        rest[..1].parse::<usize>().unwrap()
    };
    let mut reported: Vec<usize> = (0..6)
        .map(|_| label(&reports.next_is(Stall::Overdue, Began, &handle)))
        .collect();
    reported.sort_unstable();
    assert_eq!(reported, [0, 1, 2, 3, 4, 5]);
    // The other functions are not polled, so they make no progress.
    for number in [4, 1] {
        all[number].notify_one();
        let ended = reports.next_is(Stall::Overdue, Ended, &handle);
        assert_eq!(label(&ended), number, "\n{ended}");
    }
    reports.no_more();
}

#[test]
fn a_request_does_not_count_as_progress() {
    async fn fetches_by_hand(notify: Arc<Notify>) {
        fetch(notify).await;
    }

    let _alone = alone();
    let reports = Reports::of("fetches_by_hand", watchdog_without_limits());
    let notify = Arc::new(Notify::new());
    let begin = || {
        let (future, handle) = tasktrace::traced(fetches_by_hand(notify.clone()));
        let mut future = Box::pin(future);
        suspend(future.as_mut());
        reports.next_is(Stall::Overdue, Began, &handle);
        (future, handle)
    };
    let (mut future, handle) = begin();
    for _ in 0..3 {
        let request = handle.clone();
        let mut request = Box::pin(async move { request.backtrace().await });
        suspend(request.as_mut());
        suspend(future.as_mut());
        assert!(request.now_or_never().flatten().is_some());
    }
    // The report on another task proves that the watchdog has scanned again.
    let (other, other_handle) = begin();
    drop(other);
    reports.next_is(Stall::Overdue, Ended, &other_handle);
    // Neither of these polls is taken for an answer to the watchdog.
    suspend(future.as_mut());
    suspend(future.as_mut());
    reports.next_is(Stall::Overdue, Ended, &handle);
    reports.next_is(Stall::Overdue, Began, &handle);
}

/// No function is reported, except on a busy machine that did not let it run.
#[test]
fn a_function_that_makes_progress_is_not_reported() {
    /// Returns the longest time that one round took.
    #[traced]
    async fn makes_progress(stop: Arc<AtomicBool>) -> Duration {
        enum Here {}
        fn function() -> &'static Function {
            static META: FrameMeta = FrameMeta::new(None, type_name::<Here>, file!(), line!(), 1)
                .wait_limit(Duration::from_secs(2).as_nanos() as u64);
            static FUNCTION: Function = Function::of(&META);
            limited(&FUNCTION)
        }
        frame(function, async move {
            let mut longest = Duration::ZERO;
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                tokio::time::sleep(Duration::from_millis(1)).await;
                longest = longest.max(start.elapsed());
            }
            longest
        })
        .await
    }

    let _alone = alone();
    let stop = Arc::new(AtomicBool::new(false));
    let reports = Reports::of(
        "a_function_that_makes_progress_is_not_reported",
        watchdog_without_limits(),
    );
    let runtime = multi_thread();
    let tasks: Vec<_> = (0..10)
        .map(|_| runtime.spawn(makes_progress(stop.clone())))
        .collect();
    std::thread::sleep(Duration::from_secs(3));
    stop.store(true, Ordering::Relaxed);
    let longest = tasks
        .into_iter()
        .map(|task| runtime.block_on(task).unwrap());
    let longest = longest.max().unwrap();
    // The clock of the tasks may be late on such a machine, so a function may look suspended for longer than it is. But
    // a suspension goes on for at least this long after the watchdog has found it.
    if longest < Duration::from_millis(20) {
        reports.no_more();
    }
    for report in reports.rest() {
        assert_eq!(report.kind(), Stall::Overdue, "\n{report}");
    }
}
