//! Tests the contents of the report of a hung test, and the places that it is written to.

use std::path::Path;

use serde_json::Value;

use crate::hung;
use crate::support::{process, run, verdict};

/// Each report contains the tasks of its own test only, and both tests fail alike.
#[test]
fn two_tests_that_hang_at_once_get_separate_reports() {
    let mut process = process(&["hung::one_of_two", "hung::other_of_two", "others::passes"]);
    process.arg("--test-threads=3");
    let output = run(process);
    let text = &output.text;
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(
        text.contains("test result: FAILED. 1 passed; 2 failed"),
        "{text}"
    );
    for (test, own, other) in [
        ("one_of_two", "of_one", "of_other"),
        ("other_of_two", "of_other", "of_one"),
    ] {
        let start = format!("---- hung::{test} stdout ----");
        let (_, report) = text.split_once(&start).unwrap_or_else(|| panic!("{text}"));
        let report = report.split("\n---- ").next().unwrap_or_default();
        assert!(report.contains("\ntest hung for 2s: "), "{report}");
        assert!(
            report.contains(&format!("╼ hangs::hung::{own} at ")),
            "{report}"
        );
        assert!(!report.contains(&format!("hung::{other} ")), "{report}");
    }
}

#[test]
fn the_verdict_is_the_first_line_of_the_panic() {
    let mut process = process(&["hung::nobody_sends"]);
    process.arg("--nocapture");
    let output = run(process);
    let lines: Vec<&str> = output.text.lines().collect();
    let at = lines
        .iter()
        .position(|line| line.starts_with("test hung for "));
    let at = at.unwrap_or_else(|| panic!("{}", output.text));
    // The panic's location is the test.
    assert!(
        lines[at - 1].contains(&format!("panicked at {}:", hung::FILE)),
        "{}",
        output.text
    );
    // The test's own task follows.
    assert!(
        lines[at + 2].contains(" hangs::hung::nobody_sends, suspended"),
        "{}",
        output.text
    );
}

#[test]
fn the_report_is_also_written_as_json() {
    let (verdict, text) = verdict("hung::deadlock");
    let file = text
        .lines()
        .find_map(|line| line.strip_prefix("note: as JSON in "));
    let file = file.unwrap_or_else(|| panic!("{text}"));
    assert!(
        Path::new(file).ends_with("tasktrace/hangs.hung.deadlock.json"),
        "{file}"
    );
    let report = std::fs::read_to_string(file).expect("it was written");
    let report: Value = serde_json::from_str(&report).expect("it is JSON");
    assert_eq!(report["schema"], "tasktrace.hang/1");
    assert_eq!(report["test"], "hangs::hung::deadlock");
    assert_eq!(report["verdict"], verdict);
    assert_eq!(
        report["dump"]["tasks"].as_array().map(Vec::len),
        Some(3),
        "{report:#}"
    );
}
