//! Running one of the tests of this program in a process of its own.

use std::process::{Command, ExitStatus};

/// Set in a process that is to do what a test otherwise does not.
const VARIABLE: &str = "TASKTRACE_TEST_HANGS";

/// Whether this is such a process.
pub(crate) fn is_wanted() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// What has become of a process.
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    /// Of both streams.
    pub(crate) text: String,
}

/// A process that runs tests of this program. `--nocapture` and others can be added.
pub(crate) fn process(tests: &[&str]) -> Command {
    let program = std::env::current_exe().expect("it is running");
    let mut command = Command::new(program);
    command.args(tests).arg("--exact");
    command.env(VARIABLE, "1");
    // What would be said otherwise.
    command.env_remove("RUST_BACKTRACE").env_remove("NEXTEST");
    command.env_remove("TASKTRACE_TEST_TIMEOUT");
    command
}

pub(crate) fn run(mut process: Command) -> Output {
    let output = process.output().expect("it can be started");
    let text = [output.stdout, output.stderr].concat();
    Output {
        status: output.status,
        text: String::from_utf8(text).expect("it is text"),
    }
}

/// Runs a test that hangs, and returns the verdict and all that was written.
#[track_caller]
pub(crate) fn verdict(test: &str) -> (String, String) {
    let mut process = process(&[test]);
    process.arg("--nocapture");
    let output = run(process);
    assert_eq!(output.status.code(), Some(101), "{}", output.text);
    (output.verdict(), output.text)
}

impl Output {
    /// The first line of the first report.
    #[track_caller]
    pub(crate) fn verdict(&self) -> String {
        let mut lines = self.text.lines();
        let verdict = lines.find(|line| line.starts_with("test hung for "));
        let verdict = verdict.unwrap_or_else(|| panic!("no verdict:\n{}", self.text));
        verdict.to_owned()
    }
}
