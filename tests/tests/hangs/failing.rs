//! Tests the limit on a test's running time, and the ways in which a test fails.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::{process, run};
use crate::{hung, others};

#[test]
fn a_passing_test_prints_nothing() {
    let mut process = process(&["others::passes"]);
    process.arg("--nocapture");
    let output = run(process);
    assert!(output.status.success(), "{}", output.text);
    let lines: Vec<&str> = output
        .text
        .lines()
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(lines.len(), 3, "{}", output.text);
    assert_eq!(lines[0], "running 1 test");
    assert_eq!(lines[1], "test others::passes ... ok");
}

#[test]
fn a_panic_prints_its_async_stack_after_the_message() {
    for (test, label) in [("panics", "call 1"), ("panics_elsewhere", "call 2")] {
        let output = run(process(&[&format!("others::{test}")]));
        let text = &output.text;
        assert_eq!(output.status.code(), Some(101), "{text}");
        // The harness captures the stack, and it follows the message.
        let start = format!("---- others::{test} stdout ----");
        let (_, output) = text.split_once(&start).unwrap_or_else(|| panic!("{text}"));
        let (message, stack) = output
            .split_once("in task ")
            .unwrap_or_else(|| panic!("{text}"));
        assert!(
            stack.contains(&format!("hangs::others::calls \"{label}\" at ")),
            "{text}"
        );
        assert!(stack.contains("└╼ hangs::others::fails at "), "{text}");
        assert!(message.contains("panicked at "), "{text}");
        assert!(message.contains("on purpose"), "{text}");
    }
}

/// A panic hook that itself panics at the closed stream would abort the process.
#[test]
fn a_failing_test_with_closed_stderr_still_exits_with_a_failure() {
    let mut process = process(&["others::panics"]);
    process.arg("--nocapture");
    process.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = process.spawn().expect("it can be started");
    drop(child.stderr.take());
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(101), "{status}");
}

/// The test harness prints captured output only at the end of the run, so the process that ends early prints it itself.
#[test]
fn a_process_ended_early_prints_the_output_of_failed_tests() {
    let said = printed_at_early_end("panics");
    let failed = after(&said, "these tests have failed before:");
    assert!(failed.contains("---- hangs::others::panics ----"), "{said}");
    let place = format!("panicked at {}:", others::FILE);
    assert!(failed.contains(&place), "{said}");
    assert!(failed.contains("on purpose"), "{said}");
    assert!(failed.contains("└╼ hangs::others::fails at "), "{said}");
}

/// Runs `test` beside a test whose blocked thread ends the process, and returns the text that the process prints from
/// the note about its end on.
fn printed_at_early_end(test: &str) -> String {
    let name = format!("others::{test}");
    let mut both = process(&[&name, "hung::sleeping_test"]);
    both.arg("--test-threads=2");
    let output = run(both);
    assert_eq!(output.status.code(), Some(101), "{}", output.text);
    let end = output.text.split_once("The process ends in ");
    let (_, said) = end.unwrap_or_else(|| panic!("{}", output.text));
    said.to_owned()
}

/// Returns the part of `text` after `start`.
#[track_caller]
fn after<'a>(text: &'a str, start: &str) -> &'a str {
    let parts = text.split_once(start);
    parts
        .unwrap_or_else(|| panic!("{start:?} is not in\n{text}"))
        .1
}

#[test]
fn a_process_ended_early_prints_failures_that_tests_returned() {
    let said = printed_at_early_end("returns_an_error");
    assert!(said.contains("these tests have failed before:"), "{said}");
    assert!(
        said.contains("\nError: \"an error on purpose\"\n"),
        "{said}"
    );
    let said = printed_at_early_end("returns_an_exit_code");
    assert!(
        said.contains("---- hangs::others::returns_an_exit_code ----"),
        "{said}"
    );
}

#[test]
fn a_process_ended_early_omits_tests_that_panicked_as_expected() {
    let said = printed_at_early_end("panics_as_expected");
    assert!(!said.contains("failed before"), "{said}");
    let said = printed_at_early_end("panics_otherwise");
    assert!(said.contains("these tests have failed before:"), "{said}");
    assert!(
        said.contains("\nnote: panic did not contain expected string: \"as expected\"\n"),
        "{said}"
    );
    let said = printed_at_early_end("does_not_panic");
    assert!(
        said.contains("\nnote: test did not panic as expected\n"),
        "{said}"
    );
}

#[test]
fn a_process_ended_early_prints_every_panic_of_a_test() {
    let said = printed_at_early_end("panics_after_its_task");
    let (task, test) = said
        .split_once("a task has panicked")
        .unwrap_or_else(|| panic!("{said}"));
    assert!(task.contains("on purpose"), "{said}");
    assert!(task.contains("└╼ hangs::others::fails at "), "{said}");
    assert!(!test.contains("on purpose"), "{said}");
    let said = printed_at_early_end("passes_a_panic_on");
    assert!(
        said.contains("the test panicked without a message"),
        "{said}"
    );
}

/// The library sees nothing of a plain `#[test]` except its panic.
#[test]
fn a_process_ended_early_prints_panics_of_plain_tests() {
    let said = printed_at_early_end("plain");
    let start = "these tests have panicked before, and failed unless they are `#[should_panic]`:";
    let panicked = after(&said, start);
    assert!(panicked.contains("---- others::plain ----"), "{said}");
    let place = format!("panicked at {}:", others::FILE);
    assert!(panicked.contains(&place), "{said}");
    assert_eq!(panicked.matches("plainly on purpose").count(), 1, "{said}");
}

#[test]
fn a_test_that_resumes_when_it_is_captured_fails_with_a_lost_wake_up() {
    let output = run(process(&["hung::loses_a_wake_up"]));
    let text = &output.text;
    assert_eq!(output.status.code(), Some(101), "{text}");
    let verdict = "test took longer than its limit of 2s: hangs::hung::loses_a_wake_up (fn at ";
    assert!(text.contains(verdict), "{text}");
    assert!(text.contains("likely a wake-up was lost"), "{text}");
    let place = format!("panicked at {}:", hung::FILE);
    assert!(text.contains(&place), "{text}");
}

#[test]
fn a_test_that_ends_after_its_limit_fails() {
    let mut process = process(&["hung::is_blocked_for_too_long"]);
    process.stdin(Stdio::piped());
    process.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = process.spawn().expect("it can be started");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let mut text = String::new();
    for line in lines.by_ref().map(|line| line.expect("it is text")) {
        text += &(line + "\n");
        if text.contains("the test's thread is blocked") {
            break;
        }
    }
    assert!(text.contains("the test's thread is blocked"), "{text}");
    // The process would end some seconds later, but the test ends now.
    drop(child.stdin.take());
    text.extend(lines.map(|line| line.expect("it is text") + "\n"));
    let output = child.wait_with_output().expect("it ends");
    text += &String::from_utf8(output.stdout).expect("it is text");
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(
        text.contains("is_blocked_for_too_long ... FAILED"),
        "{text}"
    );
}

#[test]
fn a_hung_test_that_should_panic_fails() {
    let output = run(process(&["hung::should_panic"]));
    assert_eq!(output.status.code(), Some(101), "{}", output.text);
    assert!(
        output.text.contains("hung::should_panic hung"),
        "{}",
        output.text
    );
}

/// `TASKTRACE_TEST_TIMEOUT` overrides the `timeout` of every attribute.
#[test]
fn the_environment_overrides_the_limit_of_the_attribute() {
    let with = |test: &str, limit: &str| {
        let mut process = process(&[test]);
        process
            .arg("--nocapture")
            .env("TASKTRACE_TEST_TIMEOUT", limit);
        run(process)
    };
    let output = with("hung::for_ever", "1s");
    assert_eq!(output.status.code(), Some(101), "{}", output.text);
    assert!(
        output
            .verdict()
            .starts_with("test hung for 1s: hangs::hung::receive at ")
    );

    let output = with("hung::slow", "none");
    assert!(output.status.success(), "{}", output.text);
    let output = with("hung::soon_over", "soon");
    assert!(
        output
            .text
            .contains("TASKTRACE_TEST_TIMEOUT=soon is ignored"),
        "{}",
        output.text
    );
    assert_eq!(output.status.code(), Some(101), "{}", output.text);
}
