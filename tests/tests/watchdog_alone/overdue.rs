//! Functions that are suspended for longer than they may be.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tasktrace::__private::{FrameMeta, frame, labelled, limited, type_name};
use tasktrace::StallPhase::{Began, Ended};
use tasktrace::{Source, Stall, TraceHandle, traced};
use tasktrace_tests::{current_thread, multi_thread};
use tokio::sync::Notify;

use crate::alone;
use crate::support::{Reports, SOON, indifferent, verdict, wait_until};

const LIMIT: u64 = SOON.as_nanos() as u64;

/// As `#[traced(stalled_after = "60ms")]`.
fn fetch(notify: Arc<Notify>) -> impl Future<Output = ()> + Send {
    enum Here {}
    fn meta() -> &'static FrameMeta {
        static META: FrameMeta =
            FrameMeta::new(None, type_name::<Here>, "src/fetch.rs", 3, 1).stalled_after(LIMIT);
        limited(&META)
    }
    frame(meta, async move { notify.notified().await })
}

/// As `#[traced("of {number}", stalled_after = "60ms")]`.
fn fetch_one(number: u32, notify: Arc<Notify>) -> impl Future<Output = ()> + Send {
    enum Here {}
    static META: FrameMeta =
        FrameMeta::new(None, type_name::<Here>, "src/fetch.rs", 5, 1).stalled_after(LIMIT);
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
fn a_function_in_a_task() {
    async fn fetches_in_a_task(notify: Arc<Notify>) {
        fetch(notify.clone()).await;
        fetch(notify).await;
    }

    let _alone = alone();
    let runtime = multi_thread();
    let notify = Arc::new(Notify::new());
    let reports = Reports::of("fetches_in_a_task", indifferent());
    let handle = spawn(&runtime, fetches_in_a_task(notify.clone()));
    let began = reports.next_is(Stall::Overdue, Began, &handle);
    assert_eq!(began.limit(), SOON);
    assert_eq!(began.function(), Some("watchdog_alone::overdue::fetch"));
    assert_eq!(began.task().source(), &Source::Capture);
    assert!(
        began.task().trace().contains("Notified::poll") || began.to_string().contains("Notify"),
        "{began}"
    );
    let text = verdict(&began);
    let expected = format!(
        "a function of task {} watchdog_alone::overdue::a_function_in_a_task::fetches_in_a_task has been suspended for ",
        handle.id()
    );
    assert!(text.starts_with(&expected), "{text}");
    let expected =
        ", longer than its limit of 60ms: watchdog_alone::overdue::fetch at src/fetch.rs:3:1";
    assert!(text.ends_with(expected), "{text}");

    // To be woken for nothing does not make it go on.
    let polls = handle.polls();
    wait_until(|| handle.polls() > polls + 5);
    notify.notify_one();
    let ended = reports.next_is(Stall::Overdue, Ended, &handle);
    assert!(ended.duration() >= began.duration());
    let text = verdict(&ended);
    assert!(
        text.contains(" is no longer suspended: it was for "),
        "{text}"
    );

    // The same function again, and the task ends in the middle of it.
    reports.next_is(Stall::Overdue, Began, &handle);
    drop(runtime);
    reports.next_is(Stall::Overdue, Ended, &handle);
    reports.no_more();
}

#[test]
fn what_the_task_consists_of() {
    let _alone = alone();
    let runtime = current_thread();
    let notify = Arc::new(Notify::new());
    let reports = Reports::of("watchdog_alone::overdue::fetch_one", indifferent());
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
        " than its limit of 60ms: watchdog_alone::overdue::fetch_one at src/fetch.rs:5:1";
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
fn one_of_many_that_are_polled_on_their_own() {
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
    let reports = Reports::of("fetches_several", indifferent());
    let handle = spawn(&runtime, fetches_several(all.clone()));
    let label = |report: &tasktrace::StallReport| {
        let text = verdict(report);
        let (_, rest) = text
            .split_once("fetch_one \"of ")
            .expect("the function is named");
        rest[..1].parse::<usize>().unwrap()
    };
    let mut begun: Vec<usize> = (0..6)
        .map(|_| label(&reports.next_is(Stall::Overdue, Began, &handle)))
        .collect();
    begun.sort_unstable();
    assert_eq!(begun, [0, 1, 2, 3, 4, 5]);
    // Those that are not polled do not go on.
    for number in [4, 1] {
        all[number].notify_one();
        let ended = reports.next_is(Stall::Overdue, Ended, &handle);
        assert_eq!(label(&ended), number, "\n{ended}");
    }
    reports.no_more();
}

#[test]
fn whoever_asks_does_not_make_it_go_on() {
    async fn fetches_by_hand(notify: Arc<Notify>) {
        fetch(notify).await;
    }

    let _alone = alone();
    let reports = Reports::of("fetches_by_hand", indifferent());
    let notify = Arc::new(Notify::new());
    let begin = || {
        let (future, handle) = tasktrace::traced(fetches_by_hand(notify.clone()));
        let mut future = Box::pin(future);
        poll(future.as_mut());
        reports.next_is(Stall::Overdue, Began, &handle);
        (future, handle)
    };
    let (mut future, handle) = begin();
    for _ in 0..3 {
        let asked = handle.clone();
        let mut asked = Box::pin(async move { asked.backtrace().await });
        poll(asked.as_mut());
        poll(future.as_mut());
        assert!(asked.now_or_never().flatten().is_some());
    }
    // When another has been reported, there was a look after that.
    let (other, other_handle) = begin();
    drop(other);
    reports.next_is(Stall::Overdue, Ended, &other_handle);
    // One of these is not taken for an answer to the watchdog.
    poll(future.as_mut());
    poll(future.as_mut());
    reports.next_is(Stall::Overdue, Ended, &handle);
    reports.next_is(Stall::Overdue, Began, &handle);
}

fn poll<F: Future>(future: Pin<&mut F>) {
    let polled = future.poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
}

#[test]
fn not_what_goes_on() {
    #[traced]
    async fn goes_on(stop: Arc<AtomicBool>) {
        enum Here {}
        fn meta() -> &'static FrameMeta {
            static META: FrameMeta = FrameMeta::new(None, type_name::<Here>, file!(), line!(), 1)
                .stalled_after(Duration::from_secs(2).as_nanos() as u64);
            limited(&META)
        }
        frame(meta, async move {
            while !stop.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    let _alone = alone();
    let stop = Arc::new(AtomicBool::new(false));
    let reports = Reports::of("not_what_goes_on", indifferent());
    let runtime = multi_thread();
    let tasks: Vec<_> = (0..10)
        .map(|_| runtime.spawn(goes_on(stop.clone())))
        .collect();
    std::thread::sleep(Duration::from_secs(3));
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
    reports.no_more();
}
