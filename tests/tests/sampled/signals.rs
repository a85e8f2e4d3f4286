//! What is done with signals, in processes of their own.

use std::process::Command;

const VARIABLE: &str = "TASKTRACE_SAMPLE_SIGNAL";

#[track_caller]
fn check(scenario: &str, expected: &[&str]) {
    check_with(scenario, None, expected);
}

#[track_caller]
fn check_with(scenario: &str, variable: Option<&str>, expected: &[&str]) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_sampled_signals"));
    program.arg(scenario).env_remove(VARIABLE);
    if let Some(value) = variable {
        program.env(VARIABLE, value);
    }
    let output = program.output().unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{}\n{stdout}\n{stderr}",
        output.status
    );
    assert_eq!(stdout.lines().collect::<Vec<_>>(), expected, "{stderr}");
}

const NO_SIGNAL: &str = "the program handles all signals that could interrupt its thread: see \
                         `set_sample_signal`";
const OFF: &str = "threads are not interrupted here: see `set_sample_signal`";

#[test]
fn nothing_is_installed_before_it_is_needed() {
    check("nothing", &["[]", "sample", "[SIGURG is ours]"]);
}

#[test]
fn a_thread_that_blocks_the_signal() {
    check(
        "blocked",
        &["its thread blocks the signal", "[SIGURG is ours]"],
    );
}

#[test]
fn a_thread_that_handles_no_signal() {
    check("does not respond", &["its thread did not handle a signal"]);
}

/// What the parent has begun is not finished in the child.
#[test]
fn a_child_of_a_process_that_asks() {
    check("forked", &["in the child: sample", "0"]);
}

/// In the middle of a poll, without any ceremony.
#[test]
fn a_thread_that_has_ended() {
    let expected = "the task gave no answer within 500ms: it is in the middle of a poll, busy or \
                    blocking its thread";
    check("exited", &[expected]);
}

#[test]
fn a_signal_that_the_program_handles() {
    let taken = "[SIGURG is the program's, SIGRTMAX is ours]";
    check(
        "handled before",
        &["sample", taken, "handled 0 and 1 times"],
    );
    let ours = "[SIGURG is ours]";
    let expected = ["sample", ours, "sample", taken, "handled 0 and 1 times"];
    check("handled after", &expected);
    check(
        "ignored",
        &["sample", "[SIGURG is ignored, SIGRTMAX is ours]"],
    );
    check("all handled", &[NO_SIGNAL, "handled 0 and 1 times"]);
}

#[test]
fn a_signal_of_choice() {
    check("configured", &["sample", "[SIGPROF is ours]"]);
    check("off", &[OFF, "[]"]);
    let expected = [NO_SIGNAL, "[]", "handled 0 and 1 times"];
    check("handled and configured", &expected);
    let expected = ["sample", OFF, "sample", NO_SIGNAL, "[SIGPROF is ours]"];
    check("configured anew", &expected);
}

#[test]
fn a_signal_from_the_environment() {
    for (value, expected) in [
        ("", ["sample", "[SIGURG is ours]"]),
        ("SIGPROF", ["sample", "[SIGPROF is ours]"]),
        ("prof", ["sample", "[SIGPROF is ours]"]),
        ("27", ["sample", "[SIGPROF is ours]"]),
        ("64", ["sample", "[SIGRTMAX is ours]"]),
        ("none", [OFF, "[]"]),
        ("nonsense", [OFF, "[]"]),
        ("SIGKILL", [OFF, "[]"]),
        ("9", [NO_SIGNAL, "[]"]),
        ("1000", [NO_SIGNAL, "[]"]),
    ] {
        check_with("environment", Some(value), &expected);
    }
    // Who calls the function is right.
    let expected = ["sample", "[SIGPROF is ours]"];
    check_with("configured", Some("none"), &expected);
}
