//! Tests reports on tasks that should be polled, and are not.

use std::future::pending;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use tasktrace::StallPhase::{Began, Ended};
use tasktrace::{Stall, TaskState, TraceHandle, WatchdogBuilder, traced};
use tasktrace_tests::by_hand::poll;
use tasktrace_tests::{HOUR, current_thread, multi_thread};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use crate::support::{Reports, SOON, verdict, wait_until, watchdog_without_limits};

fn watchdog() -> WatchdogBuilder {
    watchdog_without_limits().starved_after(SOON)
}

/// Blocks its thread until the sender of `wait` is dropped.
async fn blocks(is_blocking: Sender<()>, wait: Receiver<()>) {
    is_blocking.send(()).unwrap();
    let _ = wait.recv();
}

fn task<F: Future>(future: F) -> (tasktrace::TracedTask<F>, TraceHandle) {
    tasktrace::traced(future)
}

#[test]
fn a_task_behind_an_untraced_future_that_blocks_is_reported() {
    async fn woken_in_vain(notify: Arc<Notify>) {
        notify.notified().await;
    }

    let reports = Reports::of("woken_in_vain", watchdog());
    let notify = Arc::new(Notify::new());
    let (future, handle) = task(woken_in_vain(notify.clone()));
    let ((go, wait), (is_blocking, wait_until_blocking)) = (mpsc::channel(), mpsc::channel());
    let thread = std::thread::spawn(|| {
        current_thread().block_on(async {
            let task = tokio::spawn(future);
            tokio::task::yield_now().await;
            tokio::spawn(blocks(is_blocking, wait));
            task.await.unwrap();
        });
    });
    wait_until_blocking.recv().unwrap();
    assert!(handle.polls() > 0);
    notify.notify_one();
    let began = reports.next_is(Stall::Starved, Began, &handle);
    assert_eq!(began.limit(), SOON);
    assert_eq!(began.task().state(), &TaskState::Woken);
    assert_eq!(began.blocked_by(), None, "an untraced blocker is not known");
    let text = verdict(&began);
    let expected = format!(
        "task {} watchdog::starved::a_task_behind_an_untraced_future_that_blocks_is_reported::woken_in_vain is ready, but its executor has not polled it for ",
        handle.id()
    );
    assert!(text.starts_with(&expected), "{text}");
    drop(go);
    let ended = reports.next_is(Stall::Starved, Ended, &handle);
    let text = verdict(&ended);
    assert!(
        text.contains(" no longer waits to be polled, after "),
        "{text}"
    );
    thread.join().unwrap();
    reports.no_more();
}

#[test]
fn tasks_behind_a_traced_task_that_blocks_the_thread_are_reported() {
    async fn behind_another() {
        pending::<()>().await;
    }
    #[traced]
    async fn ahead_of_others(wait: Receiver<()>) {
        let _ = wait.recv();
    }

    let reports = Reports::of(
        "starved::tasks_behind_a_traced_task_that_blocks",
        watchdog_without_limits()
            .starved_after(2 * SOON)
            .blocked_after(SOON),
    );
    let (go, wait) = mpsc::channel();
    let mut handles = Vec::new();
    let mut futures = Vec::new();
    for _ in 0..5 {
        let (future, handle) = task(behind_another());
        futures.push(future);
        handles.push(handle);
    }
    let thread = std::thread::spawn(|| {
        let runtime = current_thread();
        runtime.block_on(async {
            futures
                .into_iter()
                .for_each(|future| drop(tokio::spawn(future)));
            tokio::task::yield_now().await;
            let _ = tokio::spawn(ahead_of_others(wait)).await;
        });
    });
    let blocked = reports.next();
    assert_eq!(
        (blocked.kind(), blocked.phase()),
        (Stall::Blocked, Began),
        "\n{blocked}"
    );
    let blocker = blocked.task().id();
    let starved = reports.next_few(5, Stall::Starved, Began);
    assert!(
        starved.keys().eq(handles
            .iter()
            .map(|handle| handle.id().get())
            .collect::<Vec<_>>()
            .iter())
    );
    for report in starved.values() {
        assert_eq!(report.blocked_by(), Some(blocker), "\n{report}");
        let text = verdict(report);
        let expected = format!(": task {blocker} blocks the thread that polled it last");
        assert!(text.ends_with(&expected), "{text}");
    }
    drop(go);
    let ended = reports.next();
    assert_eq!(
        (ended.kind(), ended.phase()),
        (Stall::Blocked, Ended),
        "\n{ended}"
    );
    // The tasks are polled, or dropped with the runtime.
    reports.next_few(5, Stall::Starved, Ended);
    thread.join().unwrap();
    reports.no_more();
}

#[test]
fn tasks_of_a_runtime_that_is_not_driven_are_reported() {
    async fn left_alone() {
        pending::<()>().await;
    }

    let runtime = current_thread();
    let handles: Vec<TraceHandle> = (0..200)
        .map(|_| {
            let (future, handle) = task(left_alone());
            runtime.spawn(future);
            handle
        })
        .collect();
    let drive = || {
        runtime.block_on(async {
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
        })
    };
    drive();
    assert!(handles.iter().all(|handle| handle.polls() > 0));
    // The watchdog finds one of them, and then more.
    let reports = Reports::of("left_alone", watchdog());
    reports.next_few(64, Stall::Starved, Began);
    // A task that is polled on its own is reported in a later scan, so there was time to report more of the others.
    let (kept, other) = task(left_alone());
    reports.next_is(Stall::Starved, Began, &other);
    drop(kept);
    reports.next_is(Stall::Starved, Ended, &other);
    drive();
    reports.next_few(64, Stall::Starved, Ended);
    // The tasks starve again.
    reports.next_few(64, Stall::Starved, Began);
    drop(runtime);
    reports.next_few(64, Stall::Starved, Ended);
    assert!(handles.iter().all(TraceHandle::is_finished));
    reports.no_more();
}

#[test]
fn a_task_that_is_never_polled_is_reported() {
    async fn for_later() {
        pending::<()>().await;
    }

    let reports = Reports::of("for_later", watchdog());
    let (future, handle) = task(for_later());
    let began = reports.next_is(Stall::Starved, Began, &handle);
    assert_eq!(began.task().state(), &TaskState::NeverPolled);
    let text = verdict(&began);
    assert!(text.contains("for_later was created "), "{text}");
    assert!(text.ends_with(" ago, but has never been polled"), "{text}");
    // Another task is reported next, and this one not again.
    let (second_future, second) = task(for_later());
    reports.next_is(Stall::Starved, Began, &second);
    drop(second_future);
    reports.next_is(Stall::Starved, Ended, &second);
    let mut future = Box::pin(future);
    assert!(poll(future.as_mut()).is_pending());
    reports.next_is(Stall::Starved, Ended, &handle);
}

#[test]
fn a_task_that_does_not_answer_a_request_is_reported() {
    async fn never_answers() {
        pending::<()>().await;
    }

    let (future, handle) = task(never_answers());
    let mut future = Box::pin(future);
    assert!(poll(future.as_mut()).is_pending());
    let request_handle = handle.clone();
    let requester = std::thread::spawn(move || request_handle.backtrace_timeout(HOUR));
    wait_until(|| handle.state() == TaskState::Woken);
    let reports = Reports::of("never_answers", watchdog());
    reports.next_is(Stall::Starved, Began, &handle);
    assert!(poll(future.as_mut()).is_pending());
    reports.next_is(Stall::Starved, Ended, &handle);
    // The watchdogs of other tests wake the task as well, so the request may come after this poll.
    while !requester.is_finished() {
        if handle.state() == TaskState::Woken {
            assert!(poll(future.as_mut()).is_pending());
        }
        std::thread::yield_now();
    }
    assert!(requester.join().unwrap().is_ok());
}

#[test]
fn a_task_of_a_local_set_on_a_blocked_thread_is_reported() {
    async fn local_one() {
        pending::<()>().await;
    }
    async fn one_of_the_workers() {
        loop {
            tokio::task::yield_now().await;
        }
    }

    // The runtime itself is healthy, and has many more tasks.
    let runtime = multi_thread();
    for _ in 0..100 {
        runtime.spawn(task(one_of_the_workers()).0);
    }
    let reports = Reports::of("local_one", watchdog());
    let (future, handle) = task(local_one());
    let (go, wait) = mpsc::channel();
    let (is_blocking, wait_until_blocking) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        runtime.block_on(LocalSet::new().run_until(async move {
            tokio::task::spawn_local(future);
            tokio::task::yield_now().await;
            blocks(is_blocking, wait).await;
            tokio::task::yield_now().await;
        }));
        runtime
    });
    wait_until_blocking.recv().unwrap();
    reports.next_is(Stall::Starved, Began, &handle);
    drop(go);
    reports.next_is(Stall::Starved, Ended, &handle);
    thread.join().unwrap().shutdown_background();
}
