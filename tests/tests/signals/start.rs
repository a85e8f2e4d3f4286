//! Tests dumps on signals that an attribute or the environment asks for.

use std::ffi::c_int;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use libc::{SIGUSR1, SIGUSR2};

use super::support::*;

const ON_SIGNAL: &str = "TASKTRACE_DUMP_ON_SIGNAL";
const FILE: &str = "TASKTRACE_DUMP_FILE";

/// Starts a program, with `dump_on_signal` in its attribute or without.
#[track_caller]
fn start(attribute: Option<&str>, environment: &[(&str, &str)]) -> Program {
    let mut command = Command::new(START);
    command.args(attribute);
    command.env_remove(ON_SIGNAL).env_remove(FILE);
    command.envs(environment.iter().copied());
    let mut program = Program::run(&mut command);
    program.says("ready");
    program
}

#[track_caller]
fn dumps_on(program: &mut Program, signal: c_int, name: &str) {
    program.send(signal);
    program.tells(&program.header(name));
    program.tells("no traced tasks");
}

/// Asserts that the signal has its default effect: the program dies of it.
#[track_caller]
fn dies_of(program: Program, signal: c_int) {
    program.send(signal);
    let ended = program.ended();
    assert_eq!(ended.status.signal(), Some(signal));
    assert_eq!(ended.stderr, "");
}

#[test]
fn without_attribute_and_variable_the_signal_kills() {
    dies_of(start(None, &[]), SIGUSR1);
    dies_of(start(None, &[(FILE, "tasks.txt")]), SIGUSR1);
    dies_of(start(None, &[(ON_SIGNAL, "")]), SIGUSR1);
}

#[test]
fn the_attribute_enables_dumps_on_its_signal_only() {
    let mut program = start(Some(""), &[]);
    dumps_on(&mut program, SIGUSR1, "SIGUSR1");
    dies_of(program, SIGUSR2);

    let mut program = start(Some("SIGUSR2"), &[(ON_SIGNAL, "")]);
    dumps_on(&mut program, SIGUSR2, "SIGUSR2");
    dies_of(program, SIGUSR1);
}

#[test]
fn the_variable_enables_dumps_on_each_signal_it_names() {
    for value in ["SIGUSR1", "usr1", "10", "1", "true"] {
        let mut program = start(None, &[(ON_SIGNAL, value)]);
        dumps_on(&mut program, SIGUSR1, "SIGUSR1");
        program.ends_well();
    }
    let mut program = start(None, &[(ON_SIGNAL, "SIGUSR1, usr2")]);
    dumps_on(&mut program, SIGUSR1, "SIGUSR1");
    dumps_on(&mut program, SIGUSR2, "SIGUSR2");
    program.ends_well();
}

#[test]
fn the_variable_overrides_the_attribute() {
    for value in ["0", "none", "off"] {
        dies_of(start(Some(""), &[(ON_SIGNAL, value)]), SIGUSR1);
    }
    let mut program = start(Some("SIGUSR1"), &[(ON_SIGNAL, "SIGUSR2")]);
    dumps_on(&mut program, SIGUSR2, "SIGUSR2");
    dies_of(program, SIGUSR1);
}

#[test]
fn the_variable_for_the_file_names_the_destination() {
    let directory = Directory::new("start");
    for (attribute, on_signal) in [(None, "1"), (Some(""), "")] {
        let file = directory.path("tasks.txt");
        let mut program = start(attribute, &[(ON_SIGNAL, on_signal), (FILE, &file)]);
        program.send(SIGUSR1);
        program.tells("written to");
        let dump = read(&file);
        assert!(dump.starts_with(&program.header("SIGUSR1")), "{dump}");
        program.ends_well();
        fs::remove_file(file).expect("it is there");
    }
}

/// Each wrong value prints one line that names the variable, and the rest of the program runs as usual.
#[test]
fn wrong_values_are_reported_and_otherwise_ignored() {
    for (value, wrong) in [
        ("SIGUSR3", "`SIGUSR3`"),
        ("usr1,perhaps", "`perhaps`"),
        ("SIGKILL", "`SIGKILL`"),
    ] {
        let mut program = start(Some(""), &[(ON_SIGNAL, value)]);
        program.send(SIGUSR1);
        let told = program.tells(&program.header("SIGUSR1"));
        let line = told.lines().next().unwrap_or_default();
        let expected = format!("tasktrace: {ON_SIGNAL}: {wrong} is not a signal");
        assert!(line.starts_with(&expected), "{told}");
        assert!(line.contains("SIGUSR2,SIGTERM"), "{told}");
        assert_eq!(told.lines().count(), 2, "{told}");
        program.ends_well();
    }

    let told = start(None, &[(ON_SIGNAL, "9")]).ends_well().stderr;
    let expected = format!("tasktrace: {ON_SIGNAL}: SIGKILL cannot be handled");
    assert!(told.starts_with(&expected), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");

    let told = start(Some("SIGUSR3"), &[]).ends_well().stderr;
    let expected = "tasktrace: dump_on_signal: `SIGUSR3` is not a signal";
    assert!(told.starts_with(expected), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}
