//! Tests dumps on signals beside signal handlers of the program, and in programs that ignore signals, fork or wait for
//! signals.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use libc::{SIGINT, SIGTERM, SIGUSR1};

use super::support::*;

#[test]
fn a_handler_installed_before_is_still_called() {
    let mut program = Program::start(HANDLERS, &["before"]);
    for (signal, name) in [
        (SIGUSR1, "SIGUSR1"),
        (SIGTERM, "SIGTERM"),
        (SIGUSR1, "SIGUSR1"),
    ] {
        program.send(signal);
        program.says("handled");
        program.tells(&program.header(name));
    }
    // The handler is called once although it is installed twice. A program that handles SIGTERM goes on after it.
    let ended = program.ends_well();
    assert_eq!(ended.stdout, "bye\n");
    assert!(!ended.stderr.contains("tasktrace:"), "{}", ended.stderr);
}

#[test]
fn a_handler_for_one_signal_is_called_once() {
    let mut program = Program::start(HANDLERS, &["once"]);
    for count in 0..2 {
        program.send(SIGUSR1);
        if count == 0 {
            program.says("handled");
        }
        program.tells(&program.header("SIGUSR1"));
    }
    program.send(SIGTERM);
    program.says("handled");
    program.tells(&program.header("SIGTERM"));
    // The signal has its default effect again.
    program.send(SIGTERM);
    assert_eq!(program.ended().status.signal(), Some(SIGTERM));
}

#[test]
fn system_calls_are_interrupted_if_the_program_asked_for_that() {
    let mut program = Program::run(Command::new(HANDLERS).arg("interrupted"));
    // The program says this although its input has not ended: the signal interrupted its read.
    program.says("bye");
    assert_eq!(program.ended().status.code(), Some(0));
}

#[test]
fn a_handler_preserves_errno() {
    Program::run(Command::new(HANDLERS).arg("errno")).ends_well();
}

#[test]
fn a_handler_installed_after_decides_what_happens() {
    let mut program = Program::start(HANDLERS, &["after"]);
    for _ in 0..2 {
        program.send(SIGINT);
        program.says("interrupted");
    }
    let ended = program.ended();
    assert_eq!(ended.stdout, "bye\n");
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let mut program = Program::run(Command::new(HANDLERS).arg("ignored"));
    program.says(
        "SIGHUP is ignored, maybe on purpose (`nohup` does that), and stays ignored: use another signal, or install \
         a handler first",
    );
    program.ends_well();
}

#[test]
fn a_forked_child_does_not_trigger_dumps_of_its_parent() {
    let mut program = Program::run(Command::new(HANDLERS).arg("fork"));
    program.says(&format!("the child died of {SIGTERM}"));
    // The child's signal did not reach the parent's self-pipe.
    program.send(SIGUSR1);
    program.tells(&program.header("SIGUSR1"));
    let ended = program.ends_well();
    assert_eq!(dumps(&ended.stderr, "SIGUSR1"), 0, "{}", ended.stderr);
}

#[test]
fn a_program_can_still_wait_for_a_signal() {
    let program = Program::run(Command::new(HANDLERS).arg("waited for"));
    program.ends_well();
}
