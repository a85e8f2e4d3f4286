//! Runs tests of this program in a child process.

use std::process::{Command, ExitStatus};

/// The environment variable that makes the scenarios of a child process hang, fail or panic.
const VARIABLE: &str = "TASKTRACE_TEST_HANGS";

/// Returns `true` if this process is a child in which the scenarios hang, fail or panic.
pub(crate) fn is_wanted() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// The result of a child process.
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    /// Standard output followed by standard error.
    pub(crate) text: String,
}

/// Returns a command that runs `tests` of this program in a child process. The caller may add arguments such as
/// `--nocapture`.
pub(crate) fn process(tests: &[&str]) -> Command {
    let program = std::env::current_exe().expect("it is running");
    let mut command = Command::new(program);
    command.args(tests).arg("--exact");
    command.env(VARIABLE, "1");
    // Each of these variables would change the output.
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

/// Runs a test that hangs, and returns the verdict and the whole output.
#[track_caller]
pub(crate) fn verdict(test: &str) -> (String, String) {
    let mut process = process(&[test]);
    process.arg("--nocapture");
    let output = run(process);
    assert_eq!(output.status.code(), Some(101), "{}", output.text);
    (output.verdict(), output.text)
}

impl Output {
    /// Returns the verdict: the first line of the first report.
    #[track_caller]
    pub(crate) fn verdict(&self) -> String {
        let mut lines = self.text.lines();
        let verdict = lines.find(|line| line.starts_with("test hung for "));
        let verdict = verdict.unwrap_or_else(|| panic!("no verdict:\n{}", self.text));
        verdict.to_owned()
    }
}
