//! How long a test may take, and how it fails.

use std::process::Stdio;

use crate::support::{process, run};

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
fn a_panic_tells_its_async_stack() {
    for (test, label) in [("panics", "call 1"), ("panics_elsewhere", "call 2")] {
        let output = run(process(&[&format!("others::{test}")]));
        let text = &output.text;
        assert_eq!(output.status.code(), Some(101), "{text}");
        // Captured, and after the message.
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

/// A hook that panics because of that would end the process.
#[test]
fn a_test_fails_as_usual_if_nobody_reads_its_output() {
    let mut process = process(&["others::panics"]);
    process.arg("--nocapture");
    process.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = process.spawn().expect("it can be started");
    drop(child.stderr.take());
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(101), "{status}");
}

/// The test runner would have printed it at the end.
#[test]
fn a_process_that_ends_prints_the_output_of_tests_that_failed_before() {
    let mut both = process(&["others::panics", "hung::sleeping_test"]);
    both.arg("--test-threads=2");
    let output = run(both);
    let text = &output.text;
    assert_eq!(output.status.code(), Some(101), "{text}");
    let (_, said) = text
        .split_once("these tests have failed before:")
        .unwrap_or_else(|| panic!("{text}"));
    assert!(said.contains("---- hangs::others::panics ----"), "{text}");
    assert!(said.contains("panicked at tests/tests/hangs/"), "{text}");
    assert!(said.contains("on purpose"), "{text}");
    assert!(said.contains("└╼ hangs::others::fails at "), "{text}");
}

/// Returns what a process that ends prints of a test that ran before.
fn said_before_the_end(test: &str) -> String {
    let name = format!("others::{test}");
    let mut both = process(&[&name, "hung::sleeping_test"]);
    both.arg("--test-threads=2");
    let output = run(both);
    assert_eq!(output.status.code(), Some(101), "{}", output.text);
    let end = output.text.split_once("The process ends in ");
    let (_, said) = end.unwrap_or_else(|| panic!("{}", output.text));
    said.to_owned()
}

#[test]
fn a_process_that_ends_prints_the_failures_that_tests_returned() {
    let said = said_before_the_end("returns_an_error");
    assert!(said.contains("these tests have failed before:"), "{said}");
    assert!(
        said.contains("\nError: \"an error on purpose\"\n"),
        "{said}"
    );
    let said = said_before_the_end("returns_an_exit_code");
    assert!(
        said.contains("---- hangs::others::returns_an_exit_code ----"),
        "{said}"
    );
}

#[test]
fn a_process_that_ends_tells_tests_that_panicked_as_expected_from_others() {
    let said = said_before_the_end("panics_as_expected");
    assert!(!said.contains("failed before"), "{said}");
    let said = said_before_the_end("panics_otherwise");
    assert!(said.contains("these tests have failed before:"), "{said}");
    assert!(
        said.contains("\nnote: panic did not contain expected string: \"as expected\"\n"),
        "{said}"
    );
    let said = said_before_the_end("does_not_panic");
    assert!(
        said.contains("\nnote: test did not panic as expected\n"),
        "{said}"
    );
}

#[test]
fn a_process_that_ends_prints_all_panics_of_a_test() {
    let said = said_before_the_end("panics_after_its_task");
    let (task, test) = said
        .split_once("a task has panicked")
        .unwrap_or_else(|| panic!("{said}"));
    assert!(task.contains("on purpose"), "{said}");
    assert!(task.contains("└╼ hangs::others::fails at "), "{said}");
    assert!(!test.contains("on purpose"), "{said}");
    let said = said_before_the_end("passes_a_panic_on");
    assert!(
        said.contains("the test panicked without a message"),
        "{said}"
    );
}

/// Also that of a plain test, of which only the panic is seen.
#[test]
fn a_process_that_ends_prints_the_panics_of_plain_tests() {
    let mut both = process(&["others::plain", "hung::sleeping_test"]);
    both.arg("--test-threads=2");
    let output = run(both);
    let text = &output.text;
    assert_eq!(output.status.code(), Some(101), "{text}");
    let (_, said) = text
        .split_once("these tests have panicked before, and failed unless they were to:")
        .unwrap_or_else(|| panic!("{text}"));
    assert!(said.contains("---- others::plain ----"), "{text}");
    assert!(said.contains("panicked at tests/tests/hangs/"), "{text}");
    assert_eq!(said.matches("plainly on purpose").count(), 1, "{text}");
}

#[test]
fn one_that_goes_on_when_it_is_looked_at_fails() {
    let output = run(process(&["hung::loses_a_wake_up"]));
    let text = &output.text;
    assert_eq!(output.status.code(), Some(101), "{text}");
    let verdict = "test took longer than its limit of 2s: hangs::hung::loses_a_wake_up (fn at ";
    assert!(text.contains(verdict), "{text}");
    assert!(text.contains("likely a wake-up was lost"), "{text}");
    assert!(
        text.contains("panicked at tests/tests/hangs/hung.rs"),
        "{text}"
    );
}

#[test]
fn one_that_ends_after_its_limit_fails() {
    let output = run(process(&["hung::is_blocked_for_too_long"]));
    let text = &output.text;
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(text.contains("the test's thread is blocked"), "{text}");
    assert!(
        text.contains("is_blocked_for_too_long ... FAILED"),
        "{text}"
    );
}

#[test]
fn one_that_should_panic_does_not_pass() {
    let output = run(process(&["hung::should_panic"]));
    assert_eq!(output.status.code(), Some(101), "{}", output.text);
    assert!(
        output.text.contains("hung::should_panic hung"),
        "{}",
        output.text
    );
}

/// The environment is right, whatever the attribute says.
#[test]
fn the_limit_of_the_environment() {
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
