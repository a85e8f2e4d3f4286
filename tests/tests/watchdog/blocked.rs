//! Polls that do not end.

use std::sync::mpsc::{self, Receiver, Sender};

use tasktrace::StallPhase::{Began, Ended};
use tasktrace::{Stall, TaskState, TraceHandle, WatchdogBuilder, traced};
use tasktrace_tests::{current_thread, multi_thread};

use crate::support::{Reports, SOON, indifferent, verdict};

fn watchdog() -> WatchdogBuilder {
    indifferent().blocked_after(SOON)
}

/// Ends its poll, and begins another, each time it is told to.
#[traced("the {number}th")]
async fn blocks(number: u32, go: Receiver<()>, tell: Sender<TraceHandle>) {
    tell.send(tasktrace::current().unwrap()).unwrap();
    while go.recv().is_ok() {
        tokio::task::yield_now().await;
    }
}

fn start(number: u32, runtime: &tokio::runtime::Runtime) -> (TraceHandle, Sender<()>) {
    let ((go, wait), (tell, told)) = (mpsc::channel(), mpsc::channel());
    runtime.spawn(blocks(number, wait, tell));
    (told.recv().unwrap(), go)
}

#[test]
fn once_and_when_it_ends() {
    let runtime = multi_thread();
    let reports = Reports::of("blocked::blocks", watchdog());
    let (first, let_first) = start(1, &runtime);
    let began = reports.next_is(Stall::Blocked, Began, &first);
    let TaskState::Running(running) = began.task().state() else {
        panic!("it was in a poll:\n{began}");
    };
    let thread = running.thread_id();
    assert_eq!(began.limit(), SOON);
    assert_eq!(began.task().label(), Some("the 1th"));
    assert_eq!((began.function(), began.blocked_by()), (None, None));

    // When this one is reported, there has been another look.
    let (second, let_second) = start(2, &runtime);
    reports.next_is(Stall::Blocked, Began, &second);

    drop(let_first);
    let ended = reports.next_is(Stall::Blocked, Ended, &first);
    assert!(ended.duration() >= began.duration());
    let text = verdict(&ended);
    let expected = format!(
        "task {} watchdog::blocked::blocks \"the 1th\" no longer blocks tokio-rt-worker (thread {thread}): it did for ",
        first.id()
    );
    assert!(text.starts_with(&expected), "{text}");

    // The next poll is another matter.
    let_second.send(()).unwrap();
    reports.next_is(Stall::Blocked, Ended, &second);
    reports.next_is(Stall::Blocked, Began, &second);
    drop(let_second);
    reports.next_is(Stall::Blocked, Ended, &second);
    drop(runtime);
    reports.no_more();
}

#[test]
fn in_the_first_line() {
    #[traced]
    async fn stuck(go: Receiver<()>) {
        let _ = go.recv();
    }

    let reports = Reports::of("in_the_first_line::stuck", watchdog());
    let (go, wait) = mpsc::channel();
    let thread = std::thread::Builder::new().name("stuck".into());
    let thread = thread
        .spawn(|| current_thread().block_on(stuck(wait)))
        .unwrap();
    let report = reports.next();
    let task = report.task();
    let TaskState::Running(running) = task.state() else {
        panic!("it was in a poll:\n{report}");
    };
    let text = verdict(&report);
    let expected = format!(
        "task {} watchdog::blocked::in_the_first_line::stuck has blocked stuck (thread {}) for ",
        task.id(),
        running.thread_id()
    );
    assert!(text.starts_with(&expected), "{text}");
    assert!(
        text.contains(", in a single poll: watchdog::blocked::in_the_first_line::stuck at "),
        "{text}"
    );
    let tree = report.to_string();
    let tree = tree.lines().nth(1).unwrap_or_default();
    assert!(
        tree.starts_with("  ╼ watchdog::blocked::in_the_first_line::stuck at "),
        "{tree}"
    );
    drop(go);
    thread.join().unwrap();
}

#[test]
fn until_the_task_has_ended() {
    #[traced]
    async fn ends_in_its_only_poll(go: Receiver<()>, tell: Sender<TraceHandle>) {
        tell.send(tasktrace::current().unwrap()).unwrap();
        let _ = go.recv();
    }

    let reports = Reports::of("ends_in_its_only_poll", watchdog());
    let ((go, wait), (tell, told)) = (mpsc::channel(), mpsc::channel());
    let thread = std::thread::spawn(|| pollster::block_on(ends_in_its_only_poll(wait, tell)));
    let task = told.recv().unwrap();
    reports.next_is(Stall::Blocked, Began, &task);
    drop(go);
    reports.next_is(Stall::Blocked, Ended, &task);
    thread.join().unwrap();
    assert!(task.is_finished());
    reports.no_more();
}

#[test]
fn by_a_task_in_another() {
    async fn nested_inside(go: Receiver<()>, tell: Sender<TraceHandle>) {
        tell.send(tasktrace::current().unwrap()).unwrap();
        while go.recv().is_ok() {
            tokio::task::yield_now().await;
        }
    }
    #[traced]
    async fn nested_around(go: Receiver<()>, tell: Sender<TraceHandle>) {
        tasktrace::traced(nested_inside(go, tell)).0.await;
    }

    let ((go, wait), (tell, told)) = (mpsc::channel(), mpsc::channel());
    let thread = std::thread::spawn(|| current_thread().block_on(nested_around(wait, tell)));
    let task = told.recv().unwrap();
    // Not before: until then it is the one around it that is polled, for as long as it takes.
    let reports = Reports::of("by_a_task_in_another::nested_", watchdog());
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
