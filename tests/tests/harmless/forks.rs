//! Tests forks of a process while its tasks are dumped.
#![cfg(unix)]

use std::process::{Command, Output};

fn run(mode: &str) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_forks"));
    program.arg(mode).output().unwrap()
}

/// Returns `true` if the child of a process with threads can start a thread. Emulators of processes do not carry that.
fn children_can_start_threads() -> bool {
    let output = run("threads");
    output.status.success() && output.stdout == b"0\n"
}

#[track_caller]
fn check(mode: &str, expected: &str) {
    if !children_can_start_threads() {
        println!("not run: here, a child of `fork` cannot start a thread");
        return;
    }
    let output = run(mode);
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
