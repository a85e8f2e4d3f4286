//! Runs tests that hang in a child process, and checks their reports.

use std::fs;
use std::path::Path;
use std::process::Command;

use tasktrace_inspect_tests::schema::assert_valid;

/// The environment variable that makes the tests of [`hung`](crate::hung) hang.
const VARIABLE: &str = "TASKTRACE_TEST_HANGS";

const LOCK: &str = "tokio::sync::Mutex::lock";

/// Returns `true` in a child process.
pub(crate) fn is_child() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Returns the place of the line of the scenarios that has a mark.
fn at(mark: &str) -> String {
    let line = tasktrace_inspect_tests::line(include_str!("hung.rs"), mark);
    format!("at tests/hangs/hung.rs:{line}")
}

/// The output of a test that hangs.
struct Report {
    verdict: String,
    text: String,
}

impl Report {
    #[track_caller]
    fn of(test: &str) -> Self {
        Self::of_program(&std::env::current_exe().unwrap(), test)
    }

    #[track_caller]
    fn of_program(program: &Path, test: &str) -> Self {
        let mut command = Command::new(program);
        command.args([&format!("hung::{test}"), "--exact", "--nocapture"]);
        command.env(VARIABLE, "1");
        command
            .env_remove("RUST_BACKTRACE")
            .env_remove("TASKTRACE_TEST_TIMEOUT");
        let output = command.output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(101), "{text}");
        let verdict = text
            .lines()
            .find(|line| line.starts_with("test hung for 2s: "));
        let verdict = verdict.unwrap_or_else(|| panic!("no verdict:\n{text}"));
        Self {
            verdict: verdict.to_owned(),
            text,
        }
    }

    /// Asserts that the verdict has a part.
    #[track_caller]
    fn says(&self, part: &str) {
        assert!(
            self.verdict.contains(part),
            "{part:?} is not in the verdict of\n{}",
            self.text
        );
    }

    /// Asserts that the report has a part.
    #[track_caller]
    fn shows(&self, part: &str) {
        assert!(
            self.text.contains(part),
            "{part:?} is not in\n{}",
            self.text
        );
    }
}

#[test]
fn a_deadlock_of_plain_tasks_names_both_holders_and_their_lines() {
    let report = Report::of("two_mutexes");
    let (there, back) = (at("there waits"), at("back waits"));
    report.says("test hung for 2s: likely deadlock: tokio task ");
    report.says(&format!(
        " hangs::hung::there waits for {LOCK}, held by tokio task "
    ));
    report.says(&format!(
        " in hangs::hung::back {back}, which waits for {LOCK}, held by tokio task "
    ));
    report.says(&format!(
        " in hangs::hung::there {there} (in hangs::hung::two_mutexes at "
    ));
    report.shows(" ms: 2 tasks that are not traced\n! likely deadlock: ");
    report.shows(&format!(
        "hangs::hung::there, suspended\n  ╼ hangs::hung::there {there}\n   └╼ {LOCK} at "
    ));
    report.shows(&format!(
        "hangs::hung::back, suspended\n  ╼ hangs::hung::back {back}\n   └╼ {LOCK} at "
    ));
}

#[test]
fn the_plain_task_that_holds_a_lock_is_named_with_its_line() {
    for (test, mark) in [
        ("held_by_a_task", "the test waits"),
        ("held_by_a_task_of_a_worker", "the test waits on a worker"),
    ] {
        let report = Report::of(test);
        let (waits, restock) = (at(mark), at("restock waits"));
        report.says(&format!(
            "2s: hangs::hung::{test} {waits} is waiting on {LOCK}, held by tokio task "
        ));
        report.says(&format!(
            " in hangs::hung::restock {restock}, which waits for tokio::time::sleep"
        ));
        assert_eq!(report.verdict.matches(LOCK).count(), 1, "{}", report.text);
        report.shows(" ms: 1 task that is not traced\n");
        report.shows(&format!(
            "  ╼ hangs::hung::restock {restock}\n   └╼ tokio::time::sleep ("
        ));
    }
}

#[test]
fn a_holder_in_a_branch_is_named_with_what_its_branch_waits_for() {
    let report = Report::of("held_in_a_branch");
    let restock = at("restock waits");
    report.says(&format!(
        " in hangs::hung::restock {restock}, which waits for tokio::time::sleep"
    ));
    report.shows("tokio::sync::mpsc::Receiver::recv");
    // The runtime of the test waits in it, which is no fault.
    report.shows("hangs::hung::held_in_a_branch, in block_on\n");
}

#[test]
fn a_test_that_holds_the_lock_of_its_own_task_is_a_deadlock() {
    let report = Report::of("held_by_the_test");
    let (sell, joins) = (at("sell waits"), at("the test joins"));
    report.says("2s: likely deadlock: ");
    report.says(&format!(
        "held by task 1 in hangs::hung::held_by_the_test {joins}"
    ));
    report.shows(&format!("  ╼ hangs::hung::sell {sell}\n"));
}

#[test]
fn a_joined_plain_task_is_followed_to_what_it_waits_for() {
    let report = Report::of("joins_a_task");
    let listen = at("listen waits");
    report.says(" is waiting on tokio::task::JoinHandle; tokio task ");
    report.says(&format!(
        " hangs::hung::listen is waiting on tokio::sync::mpsc::Receiver::recv (0 of 4 messages, 1 sender) {listen}"
    ));
}

#[test]
fn a_wait_for_a_pool_in_the_background_is_shown_and_not_blamed() {
    let report = Report::of("nobody_sends");
    report.says("2s: hangs::hung::listen at ");
    report.says(" is waiting on tokio::sync::mpsc::Receiver::recv");
    report.shows("permits held by tokio task ");
}

#[test]
fn a_lock_granted_to_a_future_that_is_not_polled_is_said() {
    let report = Report::of("futurelock");
    let sell = at("sell waits");
    report.says("2s: likely deadlock: tokio task ");
    report.says(&format!(
        " hangs::hung::select_and_lock waits for {LOCK}, granted to its own hangs::hung::sell {sell}, which it does \
         not poll any more"
    ));
    report.shows(&format!(
        "  ╼ hangs::hung::select_and_lock {}\n",
        at("select_and_lock waits")
    ));
}

#[test]
fn a_lock_without_a_known_holder_says_why() {
    let report = Report::of("no_holder");
    report.says(&format!(
        " hangs::hung::sell is waiting on {LOCK} (locked, and the holder is not known: it runs, or keeps the guard \
         behind a pointer) {}",
        at("sell waits")
    ));
}

#[test]
fn a_traced_task_that_holds_a_lock_is_named_by_its_own_number() {
    let report = Report::of("held_by_a_traced_task");
    let (sell, restock) = (at("sell waits"), at("traced_restock waits"));
    report.says(&format!(
        "2s: hangs::hung::sell {sell} is waiting on {LOCK}, held by task 2 in hangs::hung::traced_restock {restock}, \
         which waits for tokio::time::sleep"
    ));
}

#[test]
fn the_report_as_json_has_the_tasks_and_matches_the_schema() {
    let report = Report::of("two_mutexes");
    let file = report
        .text
        .lines()
        .find_map(|line| line.strip_prefix("note: as JSON in "));
    let text = fs::read_to_string(file.unwrap()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_valid(&document);
    let inspected = &document["dump"]["inspected"];
    assert_eq!(
        inspected["deadlocks"].as_array().unwrap().len(),
        1,
        "{inspected:#}"
    );
    let tasks = inspected["tasks"].as_array().unwrap();
    let there = tasks
        .iter()
        .find(|task| task["name"] == "hangs::hung::there")
        .unwrap();
    assert_eq!(there["holds"][0]["kind"], "mutex");
    assert_eq!(there["frames"][1]["parent"], 0);
    assert_eq!(
        there["frames"][1]["wait"]["holders"][0]["held"]["function"],
        "hangs::hung::back"
    );
    let body = tasks.iter().find(|task| task["id"] == 1).unwrap();
    assert_eq!(body["state"], "block_on");
}

#[test]
fn a_stripped_program_says_so_and_reports_as_without_the_feature() {
    let program = std::env::current_exe().unwrap();
    let stripped = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hangs-stripped");
    let strip = Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(&program)
        .status();
    assert!(strip.unwrap().success());
    let report = Report::of_program(&stripped, "held_by_a_task");
    report.says("is waiting");
    report.shows("\nnote: memory was not read: ");
    report.shows("hangs-stripped is stripped: ");
    report.shows("build with `debug = 2`");
    assert!(
        !report.text.contains("read from memory in"),
        "{}",
        report.text
    );
}
