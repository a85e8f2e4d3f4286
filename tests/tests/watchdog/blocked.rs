//! Tests reports on polls that do not end.

use std::sync::mpsc::{self, Receiver, Sender};

use tasktrace::StallPhase::{Began, Ended};
use tasktrace::{Source, Stall, TaskState, TraceHandle, WatchdogBuilder, traced};
use tasktrace_tests::{current_thread, multi_thread};

use crate::support::{
    Reports, SOON, verdict, wait_until, wait_until_asleep, watchdog_without_limits,
};

fn watchdog() -> WatchdogBuilder {
    watchdog_without_limits().blocked_after(SOON)
}

/// Ends a poll, and begins another, for each message in `go`.
#[traced("the {number}th")]
async fn blocks(number: u32, go: Receiver<()>, send_handle: Sender<TraceHandle>) {
    send_handle.send(tasktrace::current().unwrap()).unwrap();
    while go.recv().is_ok() {
        tokio::task::yield_now().await;
    }
}

fn start(number: u32, runtime: &tokio::runtime::Runtime) -> (TraceHandle, Sender<()>) {
    let ((go, wait), (send_handle, receive_handle)) = (mpsc::channel(), mpsc::channel());
    runtime.spawn(blocks(number, wait, send_handle));
    (receive_handle.recv().unwrap(), go)
}

#[test]
fn a_blocking_poll_is_reported_once_and_when_it_ends() {
    let runtime = multi_thread();
    let (first, let_first) = start(1, &runtime);
    wait_until_asleep(&first);
    let reports = Reports::of("blocked::blocks", watchdog());
    let began = reports.next_is(Stall::Blocked, Began, &first);
    let TaskState::Running(running) = began.task().state() else {
        panic!("the task was in a poll:\n{began}");
    };
    let thread = running.thread_id();
    assert_eq!(began.limit(), SOON);
    assert_eq!(began.task().label(), Some("the 1th"));
    assert_eq!((began.function(), began.blocked_by()), (None, None));

    // The watchdog has looked again before it reported this task.
    let (second, let_second) = start(2, &runtime);
    reports.next_is(Stall::Blocked, Began, &second);

    drop(let_first);
    let ended = reports.next_is(Stall::Blocked, Ended, &first);
    assert!(ended.duration() >= began.duration());
    let text = verdict(&ended);
    let expected = format!(
        "task {} watchdog::blocked::blocks \"the 1th\" no longer blocks tokio-rt-worker (thread {thread}), after ",
        first.id()
    );
    assert!(text.starts_with(&expected), "{text}");

    // The next poll is reported anew.
    let_second.send(()).unwrap();
    reports.next_is(Stall::Blocked, Ended, &second);
    reports.next_is(Stall::Blocked, Began, &second);
    drop(let_second);
    reports.next_is(Stall::Blocked, Ended, &second);
    drop(runtime);
    reports.no_more();
}

#[test]
fn a_poll_that_blocks_in_the_first_line_is_reported() {
    #[traced]
    async fn stuck(go: Receiver<()>) {
        let _ = go.recv();
    }

    const NAME: &str = "a_poll_that_blocks_in_the_first_line_is_reported::stuck";

    // On a busy machine, a thread may not be interrupted in time. Then the report has no stack.
    let (report, go, thread) = loop {
        let (go, wait) = mpsc::channel();
        let thread = std::thread::Builder::new().name("stuck".into());
        let thread = thread
            .spawn(|| current_thread().block_on(stuck(wait)))
            .unwrap();
        let task = || tasktrace::tasks().find(|task| task.name().ends_with(NAME));
        wait_until(|| task().is_some());
        wait_until_asleep(&task().unwrap());
        let reports = Reports::of(NAME, watchdog());
        let report = reports.next();
        if *report.task().source() == Source::Sample {
            break (report, go, thread);
        }
        drop(go);
        thread.join().unwrap();
        assert_eq!(reports.next().phase(), Ended);
    };
    let task = report.task();
    let TaskState::Running(running) = task.state() else {
        panic!("the task was in a poll:\n{report}");
    };
    let text = verdict(&report);
    let expected = format!(
        "task {} watchdog::blocked::a_poll_that_blocks_in_the_first_line_is_reported::stuck has blocked stuck (thread {}) for ",
        task.id(),
        running.thread_id()
    );
    assert!(text.starts_with(&expected), "{text}");
    assert!(
        text.contains(", in a single poll: watchdog::blocked::a_poll_that_blocks_in_the_first_line_is_reported::stuck at "),
        "{text}"
    );
    let tree = report.to_string();
    let tree = tree.lines().nth(1).unwrap_or_default();
    assert!(
        tree.starts_with(
            "  ╼ watchdog::blocked::a_poll_that_blocks_in_the_first_line_is_reported::stuck at "
        ),
        "{tree}"
    );
    drop(go);
    thread.join().unwrap();
}

#[test]
fn a_poll_that_ends_its_task_is_reported_as_ended() {
    #[traced]
    async fn ends_in_its_only_poll(go: Receiver<()>, send_handle: Sender<TraceHandle>) {
        send_handle.send(tasktrace::current().unwrap()).unwrap();
        let _ = go.recv();
    }

    let reports = Reports::of("ends_in_its_only_poll", watchdog());
    let ((go, wait), (send_handle, receive_handle)) = (mpsc::channel(), mpsc::channel());
    let thread =
        std::thread::spawn(|| pollster::block_on(ends_in_its_only_poll(wait, send_handle)));
    let task = receive_handle.recv().unwrap();
    reports.next_is(Stall::Blocked, Began, &task);
    drop(go);
    reports.next_is(Stall::Blocked, Ended, &task);
    thread.join().unwrap();
    assert!(task.is_finished());
    reports.no_more();
}

#[test]
fn a_nested_task_that_blocks_is_reported() {
    async fn nested_inside(go: Receiver<()>, send_handle: Sender<TraceHandle>) {
        send_handle.send(tasktrace::current().unwrap()).unwrap();
        while go.recv().is_ok() {
            tokio::task::yield_now().await;
        }
    }
    #[traced]
    async fn nested_around(go: Receiver<()>, send_handle: Sender<TraceHandle>) {
        tasktrace::traced(nested_inside(go, send_handle)).0.await;
    }

    let ((go, wait), (send_handle, receive_handle)) = (mpsc::channel(), mpsc::channel());
    let thread = std::thread::spawn(|| current_thread().block_on(nested_around(wait, send_handle)));
    let task = receive_handle.recv().unwrap();
    // Until then the outer task is polled, for as long as this takes.
    let reports = Reports::of("a_nested_task_that_blocks_is_reported::nested_", watchdog());
    for _ in 0..2 {
        reports.next_is(Stall::Blocked, Began, &task);
        go.send(()).unwrap();
        reports.next_is(Stall::Blocked, Ended, &task);
    }
    reports.next_is(Stall::Blocked, Began, &task);
    drop(go);
    reports.next_is(Stall::Blocked, Ended, &task);
    thread.join().unwrap();
    reports.no_more();
}
