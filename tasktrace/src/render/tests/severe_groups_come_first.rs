//! Tests the order of groups, and their marks.

use super::*;

/// Returns a task that has been waiting for a resource.
fn waiting(number: u64, name: &str, resource: &str, time: f64) -> TaskDump {
    let resource = Frame::sample(resource, 99).into_resource();
    let tree = Frame::sample(name, 10).with_children([resource]);
    task(number, name).suspended_for(time).at([tree])
}

#[test]
fn groups_are_ordered_by_severity_and_size() {
    let stuck = Frame::sample("f", 1).waiting(Wait::NoWaker);
    let dump = dump([
        task(1, "main").suspended_for(3600.0),
        task(2, "small"),
        task(3, "large"),
        task(4, "large"),
        task(5, "done").finished(),
        task(6, "new").never_polled().old(0.1),
        task(7, "late").never_polled().old(3.0),
        task(8, "running").running_for(0.1),
        task(9, "holding").at([Frame::sample("f", 1).held(3.0)]),
        task(10, "stuck").at([stuck]),
        task(11, "blocking").running_for(3.0),
        task(12, "itself").awaiting([12]),
    ]);
    assert_eq!(
        headers(&dump),
        [
            "! task 12 itself",
            "! task 11 blocking",
            "! task 9 holding",
            "! task 7 late",
            "! task 10 stuck",
            "task 8 running",
            "task 6 new",
            "2 tasks large",
            "task 1 main",
            "task 2 small",
            "task 5 done",
        ],
        "\n{dump}"
    );
}

/// A task that is woken for a dump and not polled proves a starving executor only if the executor had the time to poll
/// the task.
#[test]
fn a_task_is_starved_only_if_that_is_proven() {
    let lock = |number, name| waiting(number, name, "tokio::sync::Mutex::lock", 60.0);
    let proven = || waiting(1, "proven", "tokio::time::sleep", 60.0).unpolled_for(2.0, true);
    let late = || waiting(2, "late", "tokio::time::sleep", 60.0).unpolled_for(2.0, false);
    let just_now = || waiting(3, "now", "tokio::time::sleep", 60.0).unpolled_for(0.1, true);
    let text = dump([late(), proven(), just_now(), lock(4, "a"), lock(5, "b")]).to_string();
    let findings: Vec<&str> = text.lines().skip(1).take(3).collect();
    assert_eq!(
        findings,
        [
            "! ready, but not polled by the executor for 1s or longer: task 1",
            "! waiting for locks without progress, a deadlock if each holds what another waits for, \
             for 1s or longer: tasks 4, 5",
            "! ready, but not polled yet, for 1s or longer: task 2",
        ],
        "{text}"
    );
    assert!(text.contains("\ntask 3 now, suspended"), "{text}");
    // A thread in a long poll explains why the tasks are not polled.
    let text = dump([proven(), late(), task(6, "blocks").running_for(5.0)]).to_string();
    assert!(text.contains("blocking a thread"), "{text}");
    assert!(!text.contains("ready"), "{text}");
}

#[test]
fn an_idle_task_is_not_marked_and_comes_after_a_lock() {
    let hour = 3600.0;
    let dump = dump([
        waiting(1, "main", "tokio::signal::ctrl_c", hour),
        waiting(2, "serve", "tokio::net::TcpListener::accept", hour),
        waiting(3, "ticks", "tokio::time::Interval::tick", hour),
        waiting(4, "reads", "tokio::net::TcpStream::read", hour),
        waiting(5, "actor", "tokio::sync::mpsc::Receiver::recv", hour),
        waiting(6, "locks", "tokio::sync::Mutex::lock", 0.5),
    ]);
    assert_eq!(
        headers(&dump),
        [
            "task 6 locks",
            "task 5 actor",
            "task 4 reads",
            "task 3 ticks",
            "task 1 main",
            "task 2 serve"
        ],
        "\n{dump}"
    );
    assert_eq!(dump.to_string().lines().nth(1), Some(""), "\n{dump}");
}

#[test]
fn several_tasks_that_wait_for_locks_are_likely_deadlocked() {
    let lock = "tokio::sync::Mutex::lock";
    let both = dump([
        waiting(1, "one", lock, 3.0),
        waiting(2, "two", lock, 2.0),
        waiting(3, "serve", "tokio::net::TcpListener::accept", 60.0),
    ]);
    assert_eq!(
        headers(&both),
        ["! task 1 one", "! task 2 two", "task 3 serve"]
    );
    assert_eq!(
        both.to_string().lines().nth(1),
        Some(
            "! waiting for locks without progress, a deadlock if each holds what another waits for, for 1s or \
             longer: tasks 1, 2"
        )
    );
    // One task has just started to wait, so the lock may still be passed on.
    let handed_on = dump([waiting(1, "one", lock, 3.0), waiting(2, "two", lock, 0.1)]);
    assert_eq!(headers(&handed_on), ["task 1 one", "task 2 two"]);
    let for_long = dump([
        waiting(1, "one", lock, 12.0),
        waiting(2, "two", lock, 11.0),
        waiting(3, "three", lock, 0.1),
    ]);
    assert_eq!(
        headers(&for_long),
        ["! task 1 one", "! task 2 two", "task 3 three"]
    );
    // A single task may simply have to wait for a long time.
    let alone = |time| dump([waiting(1, "one", lock, time)]);
    assert_eq!(headers(&alone(3.0)), ["task 1 one"]);
    assert_eq!(headers(&alone(10.0)), ["! task 1 one"]);
}

#[test]
fn tasks_that_compute_or_spin_are_findings_and_say_so_in_their_headers() {
    let busy = Frame::sample("busy", 10).waiting(Wait::Running);
    let spins = Frame::sample("spins", 10).waiting(Wait::Yielded);
    let dump = dump([
        task(1, "busy").running_for(3.0).computing(true).at([busy]),
        task(2, "spins").polled_per_second(1_200_000).at([spins]),
    ]);
    let text = dump.to_string();
    for line in [
        "! computing without yielding, in a single poll, for 1s or longer: task 1",
        "! spinning: they wake themselves in every poll: task 2",
    ] {
        assert!(text.lines().any(|it| it == line), "{text}");
    }
    assert!(
        text.contains(", computes without yielding, 41 polls"),
        "{text}"
    );
    assert!(
        text.contains(", spins: 1200000 polls a second, 41 polls"),
        "{text}"
    );
}
