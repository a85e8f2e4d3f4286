//! What is done with signals, in processes of their own.

use std::os::unix::process::ExitStatusExt;
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
    let taken = "[SIGURG is the program's, SIGWINCH is ours]";
    check(
        "handled before",
        &["sample", taken, "handled 0 and 1 times"],
    );
    let ours = "[SIGURG is ours]";
    let expected = ["sample", ours, "sample", taken, "handled 0 and 1 times"];
    check("handled after", &expected);
    check(
        "ignored",
        &["sample", "[SIGURG is ignored, SIGWINCH is ours]"],
    );
    check("all handled", &[NO_SIGNAL, "handled 0 and 1 times"]);
}

#[test]
fn a_signal_of_choice() {
    check("configured", &["sample", "[SIGPROF is ours]"]);
    check("off", &[OFF, "[]"]);
    let expected = [NO_SIGNAL, "[]", "handled 0 and 1 times"];
    check("handled and configured", &expected);
    check(
        "configured anew",
        &["sample", OFF, "sample", "[SIGPROF is ours]"],
    );
    check("refused", &["sample", "[SIGPROF is ours]"]);
}

#[test]
fn a_signal_of_choice_that_another_process_sends_ends_the_program() {
    for (name, signal) in [("PROF", libc::SIGPROF), ("USR2", libc::SIGUSR2)] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_sampled_signals"));
        program.args(["sent by another", &format!("-{name}")]);
        let output = program.env(VARIABLE, name).output().unwrap();
        assert_eq!(output.stdout, b"sample\n", "{output:?}");
        assert_eq!(output.status.signal(), Some(signal), "{output:?}");
    }
}

#[test]
fn an_unusable_variable_is_told_in_one_line() {
    for value in [
        "nonsense", "SIGKILL", "STOP", "9", "15", "TERM", "4", "-3", "1000",
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_sampled_signals"));
        let output = program.arg("environment").env(VARIABLE, value).output();
        let output = output.unwrap();
        assert_eq!(output.stdout, format!("{OFF}\n[]\n").as_bytes(), "{value}");
        let told = String::from_utf8(output.stderr).unwrap();
        let begin = format!("tasktrace: {VARIABLE}: `{value}` is no signal");
        assert!(
            told.starts_with(&begin) && told.lines().count() == 1,
            "{told}"
        );
    }
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
        ("off", [OFF, "[]"]),
    ] {
        check_with("environment", Some(value), &expected);
    }
    // Who calls the function is right.
    let expected = ["sample", "[SIGPROF is ours]"];
    check_with("configured", Some("none"), &expected);
}

/// A signal that is on its way when the program replaces itself is still there afterwards, and the handler
/// is not.
#[test]
fn a_program_that_execs_survives_a_pending_signal() {
    let runs = (0..4).map(|_| {
        std::thread::spawn(|| {
            let mut program = Command::new(env!("CARGO_BIN_EXE_sampled_signals"));
            let program = program.args(["exec", "60"]).env_remove(VARIABLE);
            program.output().unwrap()
        })
    });
    for run in runs.collect::<Vec<_>>() {
        let output = run.join().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout, b"survived\n", "{output:?}");
    }
}

/// What the system writes for a signal does not fit below what a thread has used of its stack, nor what the
/// handler needs.
#[test]
fn a_thread_that_has_used_its_stack_is_not_harmed() {
    check("little room", &["survived"]);
    check("little room on a thread of C", &["survived"]);
}

/// Nor below what a handler of the program has used of the alternate stack.
#[test]
fn a_handler_on_the_alternate_stack_is_not_harmed() {
    check("alternate stack", &["survived"]);
    check("alternate stack of a thread of C", &["survived"]);
}
