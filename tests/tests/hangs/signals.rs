//! A runner that ends a test that takes too long sends SIGTERM first.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use crate::support::process;

/// What is written to standard error by a test that gets SIGTERM when it waits.
fn terminated(mut process: Command) -> String {
    process.arg("--nocapture");
    process.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = process.spawn().expect("it can be started");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let waits = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("waiting")));
    assert!(waits.is_some(), "it ends without waiting");
    let pid = libc::pid_t::try_from(child.id()).expect("a number of a process");
    // SAFETY: it takes two numbers.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
    let mut text = String::new();
    let mut stderr = child.stderr.take().expect("it is piped");
    stderr.read_to_string(&mut text).expect("it is text");
    let status = child.wait().expect("it ends");
    // As it would have ended without us.
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
fn as_nextest_does() {
    let mut process = process(&["hung::for_ever"]);
    process.env("NEXTEST", "1");
    assert_verdict(&terminated(process));
}

#[test]
fn with_the_variable() {
    let mut process = process(&["hung::for_ever"]);
    process.env("TASKTRACE_DUMP_ON_SIGNAL", "SIGTERM");
    assert_verdict(&terminated(process));
}

#[test]
fn not_unless_it_is_wanted() {
    assert_eq!(terminated(process(&["hung::for_ever"])), "");
}
