//! How long a test may take, and how it fails.

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
        // Captured, and before the message.
        let start = format!("---- others::{test} stdout ----");
        let (_, output) = text.split_once(&start).unwrap_or_else(|| panic!("{text}"));
        let (stack, message) = output
            .split_once("panicked at ")
            .unwrap_or_else(|| panic!("{text}"));
        assert!(
            stack.contains(&format!("hangs::others::calls \"{label}\" at ")),
            "{text}"
        );
        assert!(stack.contains("└╼ hangs::others::fails at "), "{text}");
        assert!(message.contains("on purpose"), "{text}");
    }
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
