//! Tests that the library's threads have large enough stacks in a program whose default is small.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use tasktrace_tests::http::get;

const ATTACHED: &str = env!("CARGO_BIN_EXE_attached");

#[test]
fn a_small_default_stack_size_does_not_crash_the_server() {
    let mut program = Command::new(ATTACHED)
        .args(["tasks", "http"])
        .env("RUST_MIN_STACK", (128 << 10).to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let address = lines.find_map(|line| Some(line.unwrap().strip_prefix("http://")?.parse()));
    let address = address.expect("it has a server").unwrap();
    for path in [
        "/dump.txt",
        "/dump.json",
        "/dump.svg",
        "/dump.pb.gz",
        "/profile.pb.gz?seconds=0.1&capture=1",
    ] {
        assert_eq!(get(address, path).status, 200, "{path}");
    }
    // The program ends when its input does.
    drop(program.stdin.take());
    assert!(program.wait().unwrap().success());
}
