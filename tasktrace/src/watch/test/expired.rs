//! What is done when the time of a test is over.

use std::process;
use std::sync::Arc;
use std::time::Duration;

use super::failed;
use super::report;
use super::running::Test;
use super::tasks;
use crate::dump::{Hang, Stage, Why};
use crate::escape::Escaped;
use crate::os;

/// How long the tasks are waited for.
const BUDGET: Duration = Duration::from_secs(2);

/// How long the body may take to be polled, when it was woken to fail.
const TO_FAIL: Duration = Duration::from_secs(1);

/// How long the function of the test may take to return then, and how long the process is left to live
/// when it does not.
const GRACE: Duration = Duration::from_secs(5);

/// What a process ends with in which a test has failed.
const FAILED: i32 = 101;

/// How long a test that has ended after its limit is kept for the report: for as long as its tasks are looked at, twice,
/// and no longer.
pub(super) const TO_REPORT: Duration = Duration::from_secs(10);

/// Has the test fail, and tells why it hangs.
pub(super) fn handle(test: &Arc<Test>) {
    let hang = tasks::look_at(test, Why::Timeout, BUDGET);
    if test.is_over() {
        return;
    }
    let report = format!("{hang}\n\n{}", notes(&hang));
    test.fail_with(report.clone());
    if !test.wait_until_taken(TO_FAIL) {
        say(&report);
        let why = match hang.stage {
            Stage::End => "its function does not return: its runtime does not shut down",
            _ => "its thread is blocked, so it cannot fail like other tests",
        };
        end(test, why);
    } else if !test.wait_until_over(GRACE) {
        // It has told the test runner, which would tell us if it lived.
        say(&report);
        end(
            test,
            "it has failed, but its function does not return: its runtime does not shut down",
        );
    }
}

/// What is to be known beside a report.
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
    if hang.why == Why::Timeout {
        notes.push_str(
            "note: `timeout = \"…\"` in `#[tasktrace::test]` sets the limit, and \
             TASKTRACE_TEST_TIMEOUT overrides it: a time such as `30s`, or `none`\n",
        );
    }
    notes
}

/// Ends the process, after a while.
fn end(test: &Test, why: &str) {
    let name = test.name();
    say(&format!(
        "tasktrace: {name}: {why}. The process ends in {} seconds, and with it all other tests.\n",
        GRACE.as_secs()
    ));
    if test.wait_until_over(GRACE) {
        say(&format!(
            "tasktrace: {name}: it has ended after all, and the process goes on.\n"
        ));
        return;
    }
    say_what_failed();
    process::exit(FAILED);
}

/// Prints the output of failed tests, which the test runner keeps back until all tests have ended and would lose.
fn say_what_failed() {
    if let Some(text) = failed::take() {
        say(&text);
    }
}

/// For a test that is to panic, and was made to because it hung: it would pass.
///
/// Its function is being left because of a panic.
pub(super) fn end_if_hung(test: &Test) {
    if test.has_hung() {
        say(&format!(
            "tasktrace: {} hung. It is to panic, so it cannot fail by a panic: the process ends.\n",
            test.name()
        ));
        say_what_failed();
        process::exit(FAILED);
    }
}

/// Not by the macros that print: what these write belongs to the test that has started the thread.
fn say(text: &str) {
    os::stderr::write(text);
}
