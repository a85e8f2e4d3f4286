//! Tests programs with a `main` made by `#[tasktrace::main]`.
#![deny(warnings, clippy::all, clippy::pedantic)]

use std::process::{Command, Output};

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.expect("the program is built with the tests")
}

#[test]
fn an_error_returned_by_main_is_printed_and_exits_with_1() {
    let program = env!("CARGO_BIN_EXE_main_result");
    assert!(run(program, &["1"]).status.success());

    let failed = run(program, &["one"]);
    assert_eq!(failed.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(stderr, "Error: ParseIntError { kind: InvalidDigit }\n");
}

#[test]
fn an_exit_code_returned_by_main_is_the_status() {
    let exited = run(env!("CARGO_BIN_EXE_main_exit_code"), &[]);
    assert_eq!(exited.status.code(), Some(7));
}

#[test]
fn a_main_that_never_returns_can_exit() {
    let exited = run(env!("CARGO_BIN_EXE_main_never"), &[]);
    assert_eq!(exited.status.code(), Some(3));
}
