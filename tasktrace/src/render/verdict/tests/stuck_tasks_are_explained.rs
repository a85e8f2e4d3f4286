//! Tests the verdicts about tasks that their executor does not poll, that nothing can wake, or that are in a cycle.

use super::*;

/// Returns a body that was woken for a dump and not polled.
fn unpolled_body(is_proven: bool) -> TaskDump {
    let task = body().at([Frame::sample("app::test", 9)]);
    task.unpolled_for(4.0, is_proven)
}

#[test]
fn a_proven_starved_task_comes_before_waits() {
    let waits = || task(2, "app::a").at([waiting("app::a", 20, "tokio::sync::Mutex::lock")]);
    let text = verdict([unpolled_body(true), waits()]);
    assert_eq!(
        text,
        "test hung for 30s: app::test was woken, but its executor does not poll it"
    );
}

#[test]
fn a_likely_starved_task_comes_after_waits() {
    let waits = task(2, "app::a").at([waiting("app::a", 20, "tokio::sync::Mutex::lock")]);
    let text = verdict([unpolled_body(false), waits]);
    assert!(
        text.contains("app::a at src/main.rs:20 is waiting on tokio::sync::Mutex::lock"),
        "{text}"
    );
    assert!(!text.contains("poll it"), "{text}");
    let text = verdict([unpolled_body(false)]);
    assert!(
        text.contains(
            "app::test was woken 4.0s ago, and has not been polled since: likely its executor"
        ),
        "{text}"
    );
}

#[test]
fn a_wait_without_a_waker_is_named() {
    let lost = Frame::sample("app::lost", 20).waiting(Wait::NoWaker);
    let text = verdict([body().at([Frame::sample("app::test", 9).with_children([lost])])]);
    assert!(
        text.contains(
            "app::lost at src/main.rs:20 registered no waker in this poll: nothing can wake it, \
             unless it kept the waker of an earlier poll"
        ),
        "{text}"
    );
}

#[test]
fn a_missing_waker_is_certain_in_a_first_poll() {
    let lost = Frame::sample("app::lost", 20).waiting(Wait::NoWaker);
    let mut task = body().at([Frame::sample("app::test", 9).with_children([lost])]);
    task.polls = 0;
    let text = verdict([task]);
    assert!(
        text.contains("app::lost at src/main.rs:20 is waiting, and nothing can wake it: it has no"),
        "{text}"
    );
}

#[test]
fn a_missing_waker_comes_after_other_causes() {
    let lost = || Frame::sample("app::lost", 20).waiting(Wait::NoWaker);
    let tree = Frame::sample("app::test", 9).with_children([
        lost(),
        waiting("app::take", 30, "tokio::sync::Notify::notified"),
    ]);
    let text = verdict([body().at([tree])]);
    assert!(
        text.contains("app::take at src/main.rs:30 is waiting on"),
        "{text}"
    );
    // A helper task may be parked on purpose.
    let text = verdict([
        body().at([waiting("app::test", 9, "tokio::sync::Mutex::lock")]),
        task(2, "app::mock").spawned_by(1).at([lost()]),
    ]);
    assert!(
        text.contains("app::test at src/main.rs:9 is waiting on"),
        "{text}"
    );
    // It comes before idle waits.
    let text = verdict([
        body().at([lost()]),
        task(2, "app::serve").spawned_by(1).at([waiting(
            "app::serve",
            40,
            "tokio::sync::mpsc::Receiver::recv",
        )]),
    ]);
    assert!(
        text.contains("app::lost at src/main.rs:20 registered no waker"),
        "{text}"
    );
}

#[test]
fn a_cycle_names_all_its_tasks() {
    let text = verdict([
        body()
            .awaiting([2])
            .at([Frame::sample("tasktrace::JoinHandle", 9)]),
        task(2, "app::a")
            .awaiting([3])
            .at([Frame::sample("tasktrace::JoinHandle", 20)]),
        task(3, "app::b")
            .awaiting([2])
            .at([Frame::sample("tasktrace::JoinHandle", 30)]),
    ]);
    assert!(
        text.contains("task 2 app::a awaits task 3 app::b awaits task 2 app::a: none of them"),
        "{text}"
    );
}

#[test]
fn a_held_future_is_named_with_the_wait_beside_it() {
    let tree = Frame::sample("app::test", 9).with_children([
        Frame::sample("app::fetch", 20).held(28.0),
        waiting("app::store", 30, "tokio::sync::Mutex::lock"),
    ]);
    let text = verdict([body().at([tree])]);
    assert!(
        text.contains(
            "app::store at src/main.rs:30 is waiting on tokio::sync::Mutex::lock, while app::fetch \
             at src/main.rs:20 is held, but not polled for 28.0s"
        ),
        "{text}"
    );
}
