//! Handlers of the program beside ours, and programs that ignore, fork or wait for signals.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use libc::{SIGINT, SIGTERM, SIGUSR1};

use super::support::*;

#[test]
fn the_handler_before_is_called() {
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
    // Installed twice, it is called once; and what handles a signal has said that it goes on.
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
    // Now it is as if there had never been a handler.
    program.send(SIGTERM);
    assert_eq!(program.ended().status.signal(), Some(SIGTERM));
}

#[test]
fn system_calls_are_interrupted_if_the_program_expects_it() {
    let mut program = Program::run(Command::new(HANDLERS).arg("interrupted"));
    // Its input has not ended.
    program.says("bye");
    assert_eq!(program.ended().status.code(), Some(0));
}

#[test]
fn handlers_are_not_seen_by_what_they_interrupt() {
    Program::run(Command::new(HANDLERS).arg("errno")).ends_well();
}

#[test]
fn a_handler_after_decides() {
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
fn what_is_ignored_stays_so() {
    let mut program = Program::run(Command::new(HANDLERS).arg("ignored"));
    program.says(
        "SIGHUP is ignored, which whoever started the program may want (as nohup does), and stays so: \
         use another, or have it handled first",
    );
    program.ends_well();
}

#[test]
fn children_by_fork() {
    let mut program = Program::run(Command::new(HANDLERS).arg("fork"));
    program.says(&format!("the child died of {SIGTERM}"));
    // The child has rung at nobody's bell.
    program.send(SIGUSR1);
    program.tells(&program.header("SIGUSR1"));
    let ended = program.ends_well();
    assert_eq!(dumps(&ended.stderr, "SIGUSR1"), 0, "{}", ended.stderr);
}

#[test]
fn signals_that_are_waited_for() {
    let program = Program::run(Command::new(HANDLERS).arg("waited for"));
    program.ends_well();
}
