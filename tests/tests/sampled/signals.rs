//! Tests which signals the library uses for samples, in processes of their own.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use tasktrace_tests::sampled::NOT_SUSPENDED;

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
    if stdout.lines().any(|line| line == NOT_SUSPENDED) {
        return println!("{NOT_SUSPENDED}");
    }
    assert_eq!(stdout.lines().collect::<Vec<_>>(), expected, "{stderr}");
}

/// Returns `true` if the last real-time signal can be sent. Emulators need some of these signals themselves.
fn can_send_the_last_signal() -> bool {
    let mut program = Command::new(env!("CARGO_BIN_EXE_sampled_signals"));
    let output = program.arg("last signal").output().unwrap();
    output.stdout == b"0\n"
}

const NO_SIGNAL: &str = "the program handles all signals that could interrupt its thread: see \
                         `set_sample_signal`";
const OFF: &str =
    "interrupting threads is not supported here, or is turned off: see `set_sample_signal`";

#[test]
fn no_signal_handler_is_installed_before_it_is_needed() {
    check("nothing", &["[]", "sample", "[SIGURG is ours]"]);
}

#[test]
fn a_thread_that_blocks_the_signal_is_not_sampled() {
    check(
        "blocked",
        &["its thread blocks the signal", "[SIGURG is ours]"],
    );
}

#[test]
fn a_thread_that_does_not_respond_to_signals_is_not_sampled() {
    check("does not respond", &["its thread did not handle a signal"]);
}

#[test]
fn a_stack_is_copied_where_the_system_refuses_the_call() {
    let expected = ["sample", "sample", "0 descriptors were left open"];
    check("refused call", &expected);
}

/// A sample that the parent process has requested is not finished in the child.
#[test]
fn a_child_process_does_not_finish_samples_of_its_parent() {
    check("forked", &["in the child: sample", "0"]);
}

/// The thread ends in the middle of a poll, by a bare system call.
#[test]
fn a_thread_that_ended_in_a_poll_is_not_sampled() {
    let expected = "the task gave no answer within 500ms: it is in the middle of a poll: it computes, or blocks its \
                    thread";
    check("exited", &[expected]);
}

#[test]
fn a_signal_that_the_program_handles_is_not_used() {
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
fn the_program_can_choose_the_signal() {
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
fn an_unusable_variable_prints_one_line() {
    for value in [
        "nonsense", "SIGKILL", "STOP", "9", "15", "TERM", "4", "-3", "1000",
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_sampled_signals"));
        let output = program.arg("environment").env(VARIABLE, value).output();
        let output = output.unwrap();
        assert_eq!(output.stdout, format!("{OFF}\n[]\n").as_bytes(), "{value}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        let begin =
            format!("tasktrace: {VARIABLE}: tasks cannot be sampled with the signal `{value}`");
        assert!(
            stderr.starts_with(&begin) && stderr.lines().count() == 1,
            "{stderr}"
        );
    }
}

#[test]
fn the_environment_can_choose_the_signal() {
    for (value, expected) in [
        ("", ["sample", "[SIGURG is ours]"]),
        ("SIGPROF", ["sample", "[SIGPROF is ours]"]),
        ("prof", ["sample", "[SIGPROF is ours]"]),
        ("27", ["sample", "[SIGPROF is ours]"]),
        ("64", ["sample", "[SIGRTMAX is ours]"]),
        ("none", [OFF, "[]"]),
        ("off", [OFF, "[]"]),
    ] {
        if value == "64" && !can_send_the_last_signal() {
            println!("not run: here, the signal {value} cannot be sent");
            continue;
        }
        check_with("environment", Some(value), &expected);
    }
    // The function overrides the environment variable.
    let expected = ["sample", "[SIGPROF is ours]"];
    check_with("configured", Some("none"), &expected);
}

/// A signal that is pending when the program replaces itself is still pending afterwards, but its handler is gone.
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

/// The kernel's signal frame, and the stack that the handler needs, do not fit below the used part of the stack of the
/// thread.
#[test]
fn a_thread_that_has_used_its_stack_is_not_harmed() {
    check("little room", &["survived"]);
    check("little room on a thread of C", &["survived"]);
}

/// They do not fit below the used part of the alternate stack either.
#[test]
fn a_handler_on_the_alternate_stack_is_not_harmed() {
    check("alternate stack", &["survived"]);
    check("alternate stack of a thread of C", &["survived"]);
}

/// The program has replaced the alternate stack of tasktrace. (A stack that is too small even for the registers would
/// end the process, as at any other signal.)
#[test]
fn a_handler_on_a_small_alternate_stack_of_the_program_is_sampled_only_if_there_is_room() {
    check("alternate stack of the program", &["sampled"]);
    check("small alternate stack of the program", &["refused"]);
}
