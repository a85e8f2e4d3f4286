//! Tests the report on SIGTERM, which test runners send to a test that takes too long before they kill it.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use crate::support::process;

/// Runs a waiting test, sends SIGTERM to it, and returns what it writes to standard error.
fn stderr_on_sigterm(mut process: Command) -> String {
    process.arg("--nocapture");
    process.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = process.spawn().expect("it can be started");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let waits = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("waiting")));
    assert!(waits.is_some(), "it ends without waiting");
    let pid = libc::pid_t::try_from(child.id()).expect("a number of a process");
    // SAFETY: `kill` takes two integers and no pointer, so it cannot access memory of this process.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
    let mut text = String::new();
    let mut stderr = child.stderr.take().expect("it is piped");
    stderr.read_to_string(&mut text).expect("it is text");
    let status = child.wait().expect("it ends");
    // The signal ends the process as it would have without a handler.
    assert_eq!(status.signal(), Some(libc::SIGTERM), "{text}");
    text
}

#[track_caller]
fn assert_verdict(text: &str) {
    let verdict = text
        .lines()
        .find(|line| line.starts_with("test got SIGTERM after "));
    let verdict = verdict.unwrap_or_else(|| panic!("no verdict:\n{text}"));
    assert!(
        verdict.contains("hangs::hung::receive at ")
            && verdict.contains("is waiting on tokio::sync::mpsc::Receiver::recv"),
        "{text}"
    );
}

#[test]
fn sigterm_under_nextest_prints_the_verdict() {
    let mut process = process(&["hung::for_ever"]);
    process.env("NEXTEST", "1");
    assert_verdict(&stderr_on_sigterm(process));
}

#[test]
fn sigterm_prints_the_verdict_if_the_variable_asks_for_it() {
    let mut process = process(&["hung::for_ever"]);
    process.env("TASKTRACE_DUMP_ON_SIGNAL", "SIGTERM");
    assert_verdict(&stderr_on_sigterm(process));
}

#[test]
fn sigterm_prints_nothing_by_default() {
    assert_eq!(stderr_on_sigterm(process(&["hung::for_ever"])), "");
}
