//! Tests that the verdict about a hung test names the right function and the right cause.

use crate::hung;
use crate::support::{process, run, verdict};

/// Asserts that the verdict about `test` contains each part of `says`, and its report each part of `shows`.
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
fn a_deadlock_names_both_tasks_and_the_lock() {
    check("deadlock", &BOTH, &BOTH_TASKS);
}

#[test]
fn tasks_that_only_wake_each_other_are_said_to_be_polled_again_and_again() {
    // One of them may be in a poll when the report is made, and does not wait then.
    let says = [
        "hangs::hung::wakes at ",
        " waiting on tokio::sync::Notify::notified (task ",
        " is polled again and again: ",
        " polls in ",
    ];
    check("two_tasks_that_wake_each_other", &says, &[]);
}

#[test]
fn a_deadlock_across_workers_names_both_tasks() {
    // The verdict names the two tasks in the order in which the threads polled them.
    let says = [
        "hangs::hung::one_then_two at ",
        "hangs::hung::two_then_one at ",
        "is waiting on tokio::sync::Mutex::lock, and so is hangs::hung::",
        "a deadlock",
    ];
    check("deadlock_multi_thread", &says, &BOTH_TASKS);
}

#[test]
fn a_deadlock_under_a_paused_clock_is_found() {
    check("deadlock_paused", &BOTH, &BOTH_TASKS);
}

#[test]
fn a_hang_without_tokio_names_the_lock() {
    let says: [&str; 2] = [
        &format!(
            "test hung for 2s: hangs::hung::deadlock_without_tokio at {}:",
            hung::FILE
        ),
        " is waiting on async_lock::Mutex::lock",
    ];
    check("deadlock_without_tokio", &says, &[]);
}

#[test]
fn a_task_without_a_waker_cannot_be_woken() {
    let says: [&str; 2] = [
        &format!("hangs::hung::forgets_its_waker (fn at {}:", hung::FILE),
        "nothing can wake it",
    ];
    check("lost_wake", &says, &["no waker registered"]);
}

#[test]
fn a_missed_notification_names_notified() {
    let says = [
        "hangs::hung::wait_for at ",
        " is waiting on tokio::sync::Notify::notified (in hangs::hung::notified_too_early at ",
    ];
    check("notified_too_early", &says, &[]);
}

#[test]
fn a_silent_channel_names_recv() {
    let says = [
        "hangs::hung::receive at ",
        " is waiting on tokio::sync::mpsc::Receiver::recv",
    ];
    check("nobody_sends", &says, &["╼ hangs::hung::nobody_sends at"]);
}

/// Verdicts that need interruptible threads.
#[cfg(any(
    all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ),
    all(windows, target_arch = "x86_64")
))]
mod blocked {
    use super::check;
    use crate::hung;
    use crate::support::{process, run};

    #[test]
    fn a_sleeping_worker_names_the_function_that_sleeps() {
        let says: [&str; 2] = [
            &format!(
                "worker blocked in std::thread::sleep, called by hangs::hung::sleeps at {}:",
                hung::FILE
            ),
            "tokio-rt-worker",
        ];
        check(
            "sleeping_worker",
            &says,
            &["its runtime does not shut down"],
        );
    }

    /// The body panics with the report, but the runtime does not shut down.
    #[test]
    fn a_report_is_printed_once() {
        for argument in ["--nocapture", "--show-output"] {
            let mut process = process(&["hung::sleeping_worker"]);
            process.arg(argument);
            let output = run(process);
            assert_eq!(
                output.text.matches("test hung for ").count(),
                1,
                "{argument}: {}",
                output.text
            );
        }
    }

    #[test]
    fn a_spinning_worker_names_the_function_that_spins() {
        let says = [
            "worker computes without yielding in hangs::hung::spins at ",
            "without an `.await`",
        ];
        check("busy_worker", &says, &[]);
    }

    /// The task never waits, although there is a receiver in its loop.
    #[test]
    fn a_select_that_is_always_ready_computes_without_yielding() {
        let says = ["computes without yielding in hangs::hung::busy_select at "];
        check("busy_select", &says, &["computes without yielding"]);
    }

    #[test]
    fn a_blocked_test_thread_is_reported_as_blocked() {
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
    fn a_std_lock_held_across_an_await_names_the_function_that_locks() {
        let says = ["blocked in std::sync::Mutex::lock, called by hangs::hung::wants at "];
        check("synchronous_lock", &says, &["├╼ hangs::hung::holds"]);
    }

    #[test]
    fn a_nested_block_on_names_its_caller() {
        let says =
            ["worker blocked in futures::executor::block_on, called by hangs::hung::blocks_on at "];
        check("nested_block_on", &says, &[]);
    }

    #[test]
    fn all_blocked_workers_are_named() {
        let says = [
            "worker blocked in std::sync::mpsc::Receiver::recv, called by hangs::hung::receives at ",
            "worker blocked in std::sync::Mutex::lock, called by hangs::hung::receives at ",
        ];
        check("all_workers_blocked", &says, &[]);
    }

    #[test]
    fn a_worker_that_stays_in_the_panic_hook_is_reported() {
        let says = ["worker is in the panic hook, called by hangs::hung::falls at "];
        check(
            "stays_in_the_panic_hook",
            &says,
            &["its function does not return"],
        );
    }

    #[test]
    fn a_runtime_that_does_not_shut_down_is_reported() {
        let says = [
            "its body has ended, but its runtime does not shut down: worker blocked in \
             std::thread::sleep, called by hangs::hung::sleeps_after at ",
            "(in hangs::hung::no_shutdown at ",
        ];
        check("no_shutdown", &says, &["The process ends"]);
    }
}

#[test]
fn a_futurelock_names_the_future_that_is_not_polled() {
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
fn an_awaited_task_that_is_not_traced_is_mentioned() {
    let says = [
        "hangs::hung::untraced_join_handle at ",
        "is waiting on tokio::task::JoinHandle (the awaited task is not traced: spawn it with \
         `tasktrace::spawn`, or put `#[traced]` on its function, to see where it waits)",
        "; 1 more tokio task on the runtime of task 1 is not traced",
    ];
    check("untraced_join_handle", &says, &[]);
}

#[test]
fn a_tokio_join_handle_leads_to_the_task_that_it_awaits() {
    let says = ["hangs::hung::sleeps_long at ", " waiting on "];
    check("joins_in_a_local_set", &says, &[]);
}

#[test]
fn a_future_in_a_local_set_comes_before_the_set() {
    let says = [
        "test hung for 2s: hangs::hung::sleeps_long at ",
        " is waiting on tokio::time::sleep (in hangs::hung::sleeps_beside_a_local_task at ",
    ];
    check("sleeps_beside_a_local_task", &says, &[]);
}

#[test]
fn waiting_for_a_once_cell_leads_to_its_initializer() {
    let says = [
        " hangs::hung::initializes at ",
        " is waiting on tokio::sync::oneshot::Receiver",
    ];
    check("initializes_once", &says, &[]);
}

#[test]
fn tasks_that_panicked_or_were_dropped_before_are_reported() {
    let says: [&str; 4] = [
        "test hung for 10s: hangs::hung::outlives_its_tasks at ",
        " is waiting on tokio::sync::oneshot::Receiver; task ",
        &format!(" hangs::hung::falls panicked before at {}:", hung::FILE),
        ": \"on purpose\"",
    ];
    let shows = [
        "\nended by panic or cancellation:\n",
        " hangs::hung::falls panicked ",
        " hangs::hung::sleeps_long was dropped ",
    ];
    let is_it = |verdict: &str| says.iter().all(|part| verdict.contains(part));
    let (verdict, text) = accepted_verdict("hung::outlives_its_tasks", is_it);
    assert!(is_it(&verdict), "{text}");
    for part in shows {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

/// The other test runs at the same time, and ends at once.
#[test]
fn a_panicked_task_of_another_test_is_not_reported() {
    let mut process = process(&["others::panics_elsewhere", "hung::nobody_sends"]);
    process.args(["--test-threads=2", "--nocapture"]);
    let output = run(process);
    let text = &output.text;
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(text.contains("on purpose"), "{text}");
    assert!(!output.verdict().contains("panicked before"), "{text}");
    let (_, report) = text.split_once("test hung for ").expect("there is one");
    assert!(!report.contains("ended by panic or cancellation"), "{text}");
}

const HIDDEN: &str = "(its children have wakers of their own: #[traced] shows them)";

/// Runs `test` up to five times until `accepts` returns `true` for its verdict, and returns the verdict and the report
/// of the last run. On a busy machine a task may fail to answer within two seconds.
fn accepted_verdict(test: &str, accepts: impl Fn(&str) -> bool) -> (String, String) {
    let mut runs = (0..5).map(|_| verdict(test));
    let mut last = None;
    runs.find(|run| {
        last = Some(run.clone());
        accepts(&run.0)
    });
    last.unwrap()
}

#[test]
fn hidden_children_are_mentioned_with_the_remedy() {
    let waits = format!("is waiting on futures::future::join_all {HIDDEN}");
    let (verdict, text) = accepted_verdict("hung::hidden_children", |it| it.contains(&waits));
    assert!(
        verdict.contains("hangs::hung::hidden_children at "),
        "{verdict}"
    );
    assert!(verdict.contains(&waits), "{verdict}");
    // The text occurs once in the verdict, and once at the leaf.
    assert_eq!(text.matches(HIDDEN).count(), 2, "{text}");
}

#[test]
fn a_traced_child_of_join_all_is_named() {
    let is_it = |verdict: &str| verdict.contains("child at ");
    let (verdict, text) = accepted_verdict("hung::shown_children", is_it);
    assert!(is_it(&verdict), "{verdict}");
    assert!(!text.contains("wakers of their own"), "{text}");
}

/// Debug builds only: optimisation may inline the functions of tokio that the verdict relies on. The same holds for the
/// tests below.
#[cfg(debug_assertions)]
#[test]
fn a_loop_over_a_closed_channel_used_up_its_coop_budget() {
    let is_it = |verdict: &str| verdict.contains("its coop budget was used up in tokio::select!");
    let (verdict, text) = accepted_verdict("hung::ready_all_the_time", is_it);
    assert!(is_it(&verdict), "{text}");
    assert!(
        verdict.contains("hangs::hung::ready_all_the_time at "),
        "{verdict}"
    );
    assert!(!verdict.contains("waiting"), "{verdict}");
}

#[cfg(debug_assertions)]
#[test]
fn two_waits_in_one_function_are_counted_together() {
    let says: [&str; 2] = [
        &format!(
            "test hung for 2s: hangs::hung::joins_two at {}:",
            hung::FILE
        ),
        " is waiting on tokio::sync::mpsc::Receiver::recv (×2)",
    ];
    check("joins_two", &says, &[]);
}

#[cfg(debug_assertions)]
#[test]
fn an_unclosed_task_tracker_names_close() {
    let says = [
        "hangs::hung::open_tracker at ",
        " is waiting on tokio_util::task::TaskTracker::wait (it ends when all its tasks have ended and `close` was \
         called)",
    ];
    check("open_tracker", &says, &[]);
}
