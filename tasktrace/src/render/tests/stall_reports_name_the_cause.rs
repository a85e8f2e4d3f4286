//! Tests the reports of a watchdog.

use super::*;

fn frames() -> [Frame; 1] {
    [Frame::sample("app::worker", 20)
        .aged(3.0)
        .with_children([Frame::sample("app::parse", 10)])]
}

fn worker() -> TaskDump {
    task(7, "app::worker").with_label("conn 1").at(frames())
}

const TREE: [&str; 2] = [
    "  ╼ app::worker at src/main.rs:20:5 (3.0s)",
    "   └╼ app::parse at src/main.rs:10:5",
];

/// Asserts the first line of a report about `worker`.
#[track_caller]
fn check_report(report: impl ToString, verdict: &str) {
    super::check(report, &[verdict, TREE[0], TREE[1]]);
}

#[test]
fn a_long_poll_is_reported_with_its_thread_and_innermost_function() {
    let blocked = stall(Stall::Blocked, 1.25, 1.0, worker().running_for(1.25));
    check_report(
        &blocked,
        "task 7 app::worker \"conn 1\" has blocked tokio-rt-worker (thread 4711) for 1.2s, in a single poll: app::parse at src/main.rs:10:5",
    );
    check_report(
        blocked.ended(3.4),
        "task 7 app::worker \"conn 1\" no longer blocks tokio-rt-worker (thread 4711), after 3.4s",
    );
}

#[test]
fn a_snapshot_of_a_running_task_names_only_its_outermost_function() {
    let mut worker = worker().running_for(1.25);
    worker.source = Source::Snapshot { error: None };
    check_report(
        stall(Stall::Blocked, 1.25, 1.0, worker),
        "task 7 app::worker \"conn 1\" has blocked tokio-rt-worker (thread 4711) for 1.2s, in a single poll: app::worker at src/main.rs:20:5",
    );
}

#[test]
fn a_poll_that_ended_before_the_dump_has_no_thread() {
    check_report(
        stall(Stall::Blocked, 1.25, 1.0, worker()),
        "task 7 app::worker \"conn 1\" has blocked its thread for 1.2s, in a single poll: app::parse at src/main.rs:10:5",
    );
}

#[test]
fn a_starved_task_is_reported_with_the_task_that_blocks_its_thread() {
    let mut starved = stall(Stall::Starved, 5.0, 5.0, worker().woken());
    check_report(
        &starved,
        "task 7 app::worker \"conn 1\" is ready, but its executor has not polled it for 5.0s",
    );
    check_report(
        starved.clone().ended(7.1),
        "task 7 app::worker \"conn 1\" no longer waits to be polled, after 7.1s",
    );
    starved.blocked_by = Some(id(3));
    check_report(
        starved,
        "task 7 app::worker \"conn 1\" is ready, but its executor has not polled it for 5.0s: task 3 blocks the thread that polled it last",
    );
    let mut starved = stall(Stall::Starved, 5.0, 5.0, worker().woken());
    for (untraced, line) in [
        (
            1,
            "  1 tokio task on its runtime is not traced, and it may block its thread; ",
        ),
        (
            7,
            "  7 tokio tasks on its runtime are not traced, and one of them may block its thread; ",
        ),
    ] {
        starved.untraced = untraced;
        let text = starved.to_string();
        let last = text.lines().last().unwrap();
        assert!(
            last.starts_with(line) && last.ends_with(crate::render::untraced::ADVICE),
            "{text}"
        );
    }
    check_report(
        stall(Stall::Starved, 5.0, 5.0, worker().never_polled()),
        "task 7 app::worker \"conn 1\" was created 5.0s ago, but has never been polled",
    );
}

#[test]
fn an_overdue_function_is_reported_with_its_limit() {
    let overdue = stall(Stall::Overdue, 6.0, 5.0, worker());
    let fetch = overdue.clone().of("app::fetch", Some("key"));
    check_report(
        &fetch,
        "a function of task 7 app::worker \"conn 1\" has been suspended for 6.0s, longer than its limit of 5s: app::fetch \"key\" (fn at src/fetch.rs:3)",
    );
    check_report(
        fetch.ended(8.0),
        "a function of task 7 app::worker \"conn 1\" is no longer suspended, after 8.0s: app::fetch \"key\" (fn at \
         src/fetch.rs:3)",
    );
    check_report(
        overdue.of("app::worker", Some("conn 1")).of_task(),
        "task 7 app::worker \"conn 1\" has been suspended for 6.0s, longer than its limit of 5s: app::worker (fn at src/fetch.rs:3)",
    );
}

#[test]
fn limits_are_not_rounded() {
    let text = stall(Stall::Overdue, 0.2, 0.15, worker()).to_string();
    assert!(text.contains("longer than the limit of 150ms: "), "{text}");
}
