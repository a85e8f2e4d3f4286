//! Programs whose `main` is made by `#[tasktrace::main]`.
#![deny(warnings, clippy::all, clippy::pedantic)]

use std::process::{Command, Output};

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.expect("the program is built with the tests")
}

#[test]
fn result() {
    let program = env!("CARGO_BIN_EXE_main_result");
    assert!(run(program, &["1"]).status.success());

    let failed = run(program, &["one"]);
    assert_eq!(failed.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(stderr, "Error: ParseIntError { kind: InvalidDigit }\n");
}

#[test]
fn exit_code() {
    let exited = run(env!("CARGO_BIN_EXE_main_exit_code"), &[]);
    assert_eq!(exited.status.code(), Some(7));
}

#[test]
fn never() {
    let exited = run(env!("CARGO_BIN_EXE_main_never"), &[]);
    assert_eq!(exited.status.code(), Some(3));
}
