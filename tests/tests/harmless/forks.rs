//! Tests forks of a process while its tasks are dumped.
#![cfg(unix)]

use std::process::Command;

#[track_caller]
fn check(mode: &str, expected: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_forks"))
        .arg(mode)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:#?}");
    assert!(stdout.contains(expected), "{output:#?}");
}

/// `TASKTRACE_TEST_FORKS` sets the number of forks.
#[test]
fn no_child_waits_for_work_of_its_parent() {
    check("many", "none of ");
}

#[test]
fn a_child_keeps_its_own_time() {
    check("clock", "0\n");
}

#[test]
fn tasks_of_other_threads_stay_with_the_parent() {
    check("left behind", "0\n");
}

#[test]
fn a_child_does_not_wait_for_the_watchdog_of_its_parent() {
    check("watchdog", "0\n");
}

#[test]
fn a_fork_that_is_blocked_delays_the_parent_once() {
    check("blocked", "0\n");
}
