//! Makes a test fail when its time limit is over.

use std::process;
use std::sync::Arc;
use std::time::Duration;

use super::failed;
use super::report;
use super::running::Test;
use super::tasks;
use crate::dump::{Hang, HangTrigger, TestStage};
use crate::escape::Escaped;
use crate::inspect::TIME_TO_READ;
use crate::os;

/// The time that the tasks have to answer.
const BUDGET: Duration = Duration::from_secs(2);

/// The time that the woken body has to be polled and panic.
const TIME_TO_FAIL: Duration = Duration::from_secs(1);

/// The time that the test function then has to return. Afterwards the process waits as long once more.
const GRACE: Duration = Duration::from_secs(5);

/// The exit status of a process in which a test has failed.
const FAILED_STATUS: i32 = 101;

/// The time that a test that ends after its limit waits for its report: the time in which its tasks are asked twice, and
/// their memory is read.
pub(super) const TIME_TO_REPORT: Duration = Duration::from_secs(10).saturating_add(TIME_TO_READ);

/// Reports why a test hangs, and makes the test fail. If that is not possible, ends the process.
pub(super) fn handle(test: &Arc<Test>) {
    let hang = tasks::capture_hang(test, HangTrigger::Timeout, BUDGET);
    if test.is_over() {
        return;
    }
    let report = format!("{hang}\n\n{}", notes(&hang));
    test.fail_with(report.clone());
    if !test.wait_until_taken(TIME_TO_FAIL) {
        print(&report);
        let why = match hang.stage {
            TestStage::End => "its function does not return: its runtime does not shut down",
            _ => "its thread is blocked, so it cannot fail like other tests",
        };
        end(test, why);
    } else if !test.wait_until_over(GRACE) {
        // The body has passed the report to the test runner. A runner that captures output prints it only if the process
        // continues.
        if !test.state().is_report_printed {
            print(&report);
        }
        end(
            test,
            "it has failed, but its function does not return: its runtime does not shut down",
        );
    }
}

/// Returns the notes below a report: the file with the report as JSON, and how to change the limit.
pub(super) fn notes(hang: &Hang) -> String {
    let mut notes = String::new();
    match report::write(hang) {
        Some(Ok(file)) => {
            let file = Escaped(file.display());
            notes.push_str(&format!("note: as JSON in {file}\n"));
        }
        Some(Err(error)) => notes.push_str(&format!("note: not written as JSON: {error}\n")),
        None => {}
    }
    if hang.trigger == HangTrigger::Timeout {
        notes.push_str(
            "note: `timeout = \"…\"` in `#[tasktrace::test]` sets the limit, and \
             TASKTRACE_TEST_TIMEOUT overrides it: a time such as `30s`, or `none`\n",
        );
    }
    notes
}

/// Ends the process with the reason, unless the test ends within [`GRACE`].
fn end(test: &Test, why: &str) {
    let name = test.name();
    print(&format!(
        "tasktrace: {name}: {why}. The process ends in {} seconds, and with it all other tests.\n",
        GRACE.as_secs()
    ));
    if test.wait_until_over(GRACE) {
        print(&format!(
            "tasktrace: {name}: it has ended after all, so the process continues.\n"
        ));
        return;
    }
    print_failed_tests();
    process::exit(FAILED_STATUS);
}

/// Prints the output of the failed tests. The test runner keeps that output back until all tests have ended, and it
/// would be lost.
fn print_failed_tests() {
    if let Some(text) = failed::take() {
        print(&text);
    }
}

/// Ends the process if a `#[should_panic]` test has hung. The panic that reports the hang is the panic that such a test
/// expects, so the test would pass.
///
/// Called while a panic unwinds from the function of the test.
pub(super) fn end_if_hung(test: &Test) {
    if test.has_hung() {
        print(&format!(
            "tasktrace: {} hung. It is a `#[should_panic]` test, so a panic would not make it fail: the process \
             ends.\n",
            test.name()
        ));
        print_failed_tests();
        process::exit(FAILED_STATUS);
    }
}

/// Prints a text on stderr. The printing macros of std would write to the captured output of the test that started the
/// thread.
fn print(text: &str) {
    os::stderr::write(text);
}
