//! Tasks that wait for one resource each.

use tasktrace_inspect::Report;

use crate::program::{ALL_TASKS, PROFILES, Program};
use crate::tree::{check, state, task};

const TREES: &[&str] = &[
    "leaves::sleeper @ sleeper\n  tokio::time::sleep",
    "leaves::joiner @ joiner\n  tokio::task::JoinHandle",
    "leaves::receiver_of @ receiver_of\n  tokio::sync::mpsc::Receiver::recv",
    "leaves::sender_of @ sender_of\n  tokio::sync::mpsc::Sender::send",
    "leaves::oneshot_waiter @ oneshot_waiter\n  tokio::sync::oneshot::Receiver",
    "leaves::watcher_of @ watcher_of\n  tokio::sync::watch::Receiver::changed",
    "leaves::acquirer @ acquirer\n  tokio::sync::Semaphore::acquire_many",
    "leaves::notified @ notified\n  tokio::sync::Notify::notified",
    "leaves::acceptor @ acceptor\n  tokio::net::TcpListener::accept",
    "leaves::Counter::ticks @ ticks\n  tokio::time::Interval::tick",
];

pub(crate) fn check_leaves(report: &Report) {
    check(report, TREES);
    let text = |name| state(task(report, name));
    assert_eq!(text("leaves::receiver_of"), "0 of 4 messages, 1 sender");
    assert_eq!(text("leaves::sender_of"), "full, capacity 1");
    assert_eq!(text("leaves::oneshot_waiter"), "no value yet");
    // It has taken what there was.
    assert_eq!(text("leaves::acquirer"), "0 free permits, 1 missing");
    assert!(text("leaves::acceptor").starts_with("file descriptor "));
    let slow = task(report, "leaves::sleeper");
    assert_eq!(
        text("leaves::joiner"),
        format!(
            "task {} tasktrace_inspect_programs::leaves::sleeper",
            slow.id.unwrap()
        )
    );
}

#[test]
fn each_task_is_shown_with_its_line_and_its_resource() {
    for profile in PROFILES {
        for name in ALL_TASKS {
            let program = Program::start(name, profile);
            let report = program.inspect_at_rest();
            check_leaves(&report);
            let listening = state(task(&report, "leaves::acceptor"));
            assert!(listening.contains(", 127.0.0.1:"), "{listening}");
            let sleeping = state(task(&report, "leaves::sleeper"));
            assert!(
                sleeping.starts_with("59m ") && sleeping.ends_with("s left"),
                "{sleeping}"
            );
            assert_eq!(report.missing, []);
            assert_eq!(report.runtimes, 1);
            assert_eq!(report.deadlocks, []);
        }
    }
}
