//! The first line names the right function and the right cause.

use crate::support::{process, run, verdict};

/// The verdict says all of this, and in the report there is all of that.
#[track_caller]
fn check(test: &str, says: &[&str], shows: &[&str]) {
    let (verdict, text) = verdict(&format!("hung::{test}"));
    for part in says {
        assert!(
            verdict.contains(part),
            "{part:?} is not in {verdict:?}\n{text}"
        );
    }
    for part in shows {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

const BOTH: [&str; 3] = [
    "hangs::hung::one_then_two at ",
    "is waiting on tokio::sync::Mutex::lock, and so is hangs::hung::two_then_one at ",
    "a deadlock",
];
const BOTH_TASKS: [&str; 2] = [
    "╼ hangs::hung::one_then_two at",
    "╼ hangs::hung::two_then_one at",
];

#[test]
fn deadlock() {
    check("deadlock", &BOTH, &BOTH_TASKS);
}

#[test]
fn deadlock_multi_thread() {
    // Which is the first depends on which of the threads was.
    let says = [
        "hangs::hung::one_then_two at ",
        "hangs::hung::two_then_one at ",
        "is waiting on tokio::sync::Mutex::lock, and so is hangs::hung::",
        "a deadlock",
    ];
    check("deadlock_multi_thread", &says, &BOTH_TASKS);
}

#[test]
fn deadlock_paused() {
    check("deadlock_paused", &BOTH, &BOTH_TASKS);
}

#[test]
fn deadlock_without_tokio() {
    let says = [
        "test hung for 2s: hangs::hung::deadlock_without_tokio at tests/tests/hangs/hung.rs:",
        " is waiting on async_lock::Mutex::lock",
    ];
    check("deadlock_without_tokio", &says, &[]);
}

#[test]
fn lost_wake() {
    let says = [
        "hangs::hung::forgets_its_waker (fn at tests/tests/hangs/hung.rs:",
        "nothing can wake it",
    ];
    check("lost_wake", &says, &["no waker registered"]);
}

#[test]
fn notified_too_early() {
    let says = [
        "hangs::hung::wait_for at ",
        " is waiting on tokio::sync::Notify::notified (in hangs::hung::notified_too_early at ",
    ];
    check("notified_too_early", &says, &[]);
}

#[test]
fn nobody_sends() {
    let says = [
        "hangs::hung::receive at ",
        " is waiting on tokio::sync::mpsc::Receiver::recv",
    ];
    check("nobody_sends", &says, &["╼ hangs::hung::nobody_sends at"]);
}

/// Where threads can be interrupted.
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod blocked {
    use super::check;

    #[test]
    fn sleeping_worker() {
        let says = [
            "worker blocked in std::thread::sleep, called by hangs::hung::sleeps at \
             tests/tests/hangs/hung.rs:",
            "tokio-rt-worker",
        ];
        check(
            "sleeping_worker",
            &says,
            &["its runtime does not shut down"],
        );
    }

    #[test]
    fn busy_worker() {
        let says = [
            "worker computes without yielding in hangs::hung::spins at ",
            "without an `.await`",
        ];
        check("busy_worker", &says, &[]);
    }

    /// It never waits, though there is a receiver in its loop.
    #[test]
    fn busy_select() {
        let says = ["computes without yielding in hangs::hung::busy_select at "];
        check("busy_select", &says, &["computes without yielding"]);
    }

    #[test]
    fn sleeping_test() {
        let says = [
            "the test's thread is blocked in std::thread::sleep, called by hangs::hung::sleeps at ",
        ];
        check(
            "sleeping_test",
            &says,
            &["its thread is blocked, so it cannot fail"],
        );
    }

    #[test]
    fn synchronous_lock() {
        let says = ["blocked in std::sync::Mutex::lock, called by hangs::hung::wants at "];
        check("synchronous_lock", &says, &["├╼ hangs::hung::holds"]);
    }

    #[test]
    fn nested_block_on() {
        let says =
            ["worker blocked in futures::executor::block_on, called by hangs::hung::blocks_on at "];
        check("nested_block_on", &says, &[]);
    }

    #[test]
    fn all_workers_blocked() {
        let says = [
            "worker blocked in std::sync::mpsc::Receiver::recv, called by hangs::hung::receives at ",
            "worker blocked in std::sync::Mutex::lock, called by hangs::hung::receives at ",
        ];
        check("all_workers_blocked", &says, &[]);
    }

    #[test]
    fn stays_in_the_panic_hook() {
        let says = ["worker is in the panic hook, called by hangs::hung::falls at "];
        check(
            "stays_in_the_panic_hook",
            &says,
            &["its function does not return"],
        );
    }

    #[test]
    fn no_shutdown() {
        let says = [
            "its body has ended, but its runtime does not shut down: worker blocked in \
             std::thread::sleep, called by hangs::hung::sleeps_after at ",
            "(in hangs::hung::no_shutdown at ",
        ];
        check("no_shutdown", &says, &["The process ends"]);
    }
}

#[test]
fn futurelock() {
    let says = [
        "hangs::hung::stores at ",
        " is waiting on tokio::sync::Mutex::lock, while hangs::hung::fetches (fn at ",
        "is held, but not polled",
    ];
    check("futurelock", &says, &[]);
}

#[test]
fn tasks_that_are_not_traced_are_counted() {
    let says = ["; 5 more tokio tasks on the runtime of task 1 are not traced"];
    check(
        "untraced_handlers",
        &says,
        &["`tasktrace::spawn`", "`#[traced]`"],
    );
}

#[test]
fn a_task_that_is_not_traced_and_awaited() {
    let says = [
        "hangs::hung::untraced_join_handle at ",
        "is waiting on tokio::task::JoinHandle (what it awaits is not traced: `tasktrace::spawn`, or `#[traced]`",
        "; 1 more tokio task on the runtime of task 1 is not traced",
    ];
    check("untraced_join_handle", &says, &[]);
}

#[test]
fn a_handle_of_tokios_is_followed_to_the_task_that_was_spawned() {
    let says = ["hangs::hung::sleeps_long at ", " waiting on "];
    check("joins_in_a_local_set", &says, &[]);
}

#[test]
fn a_value_that_is_initialized_is_waited_for_where_that_is_done() {
    let says = [
        " hangs::hung::initializes at ",
        " is waiting on tokio::sync::oneshot::Receiver",
    ];
    check("initializes_once", &says, &[]);
}

#[test]
fn a_task_that_panicked_before_is_told() {
    let says = [
        "test hung for 10s: hangs::hung::outlives_its_tasks at ",
        " is waiting on tokio::sync::oneshot::Receiver; task ",
        " hangs::hung::falls panicked before at tests/tests/hangs/hung.rs:",
        ": \"on purpose\"",
    ];
    let shows = [
        "\nended before their time:\n",
        " hangs::hung::falls panicked ",
        " hangs::hung::sleeps_long was dropped ",
    ];
    let is_it = |verdict: &str| says.iter().all(|part| verdict.contains(part));
    let (verdict, text) = verdict_that("hung::outlives_its_tasks", is_it);
    assert!(is_it(&verdict), "{text}");
    for part in shows {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

/// It runs at the same time, and ends at once.
#[test]
fn a_task_of_another_test_that_panicked_is_not_told() {
    let mut process = process(&["others::panics_elsewhere", "hung::nobody_sends"]);
    process.args(["--test-threads=2", "--nocapture"]);
    let output = run(process);
    let text = &output.text;
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(text.contains("on purpose"), "{text}");
    assert!(!output.verdict().contains("panicked before"), "{text}");
    let (_, report) = text.split_once("test hung for ").expect("there is one");
    assert!(!report.contains("ended before their time"), "{text}");
}

const HIDDEN: &str = "(its children have wakers of their own: #[traced] shows them)";

/// The verdict of a test and its report: those of the first of a few runs of which this is so, or of the
/// last. On a busy machine a task may not come to answer within two seconds.
fn verdict_that(test: &str, is_it: impl Fn(&str) -> bool) -> (String, String) {
    let mut runs = (0..5).map(|_| verdict(test));
    let mut last = None;
    runs.find(|run| {
        last = Some(run.clone());
        is_it(&run.0)
    });
    last.unwrap()
}

#[test]
fn children_that_are_hidden() {
    let waits = format!("is waiting on futures::future::join_all {HIDDEN}");
    let (verdict, text) = verdict_that("hung::hidden_children", |it| it.contains(&waits));
    assert!(
        verdict.contains("hangs::hung::hidden_children at "),
        "{verdict}"
    );
    assert!(verdict.contains(&waits), "{verdict}");
    // Once in the verdict, and once at the leaf.
    assert_eq!(text.matches(HIDDEN).count(), 2, "{text}");
}

#[test]
fn children_that_are_shown() {
    let is_it = |verdict: &str| verdict.contains("child at ");
    let (verdict, text) = verdict_that("hung::shown_children", is_it);
    assert!(is_it(&verdict), "{verdict}");
    assert!(!text.contains("wakers of their own"), "{text}");
}

/// These need functions of tokio that optimisation may leave out.
#[cfg(debug_assertions)]
#[test]
fn a_function_that_is_ready_all_the_time() {
    let is_it = |verdict: &str| verdict.contains("its coop budget was used up in tokio::select!");
    let (verdict, text) = verdict_that("hung::ready_all_the_time", is_it);
    assert!(is_it(&verdict), "{text}");
    assert!(
        verdict.contains("hangs::hung::ready_all_the_time at "),
        "{verdict}"
    );
    assert!(!verdict.contains("waiting"), "{verdict}");
}

#[cfg(debug_assertions)]
#[test]
fn a_function_that_waits_for_two_messages_is_one() {
    let says = [
        "test hung for 2s: hangs::hung::joins_two at tests/tests/hangs/hung.rs:",
        " is waiting on tokio::sync::mpsc::Receiver::recv (×2)",
    ];
    check("joins_two", &says, &[]);
}

#[cfg(debug_assertions)]
#[test]
fn a_tracker_that_is_not_closed() {
    let says = [
        "hangs::hung::open_tracker at ",
        " is waiting on tokio_util::task::TaskTracker::wait (it ends when all its tasks have ended and its `close` \
         was called)",
    ];
    check("open_tracker", &says, &[]);
}
