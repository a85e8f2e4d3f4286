//! Tests that do not end.
//!
//! * [`running`]: which tests run, from the call of the function to its return.
//! * [`body`]: the future of a test, through which it is made to fail.
//! * [`limit`]: how long a test may take.
//! * [`timer`]: a thread that waits for the first time that is over.
//! * [`outcome`]: whether the value that a body returns is a failure.
//! * [`failed`]: what tests said that have failed.
//! * [`expired`]: what is done then; [`report`]: the file that is written.
//! * [`tasks`]: which tasks are those of a test.
//!
//! | who | does |
//! |---|---|
//! | the test's thread | enters the test, polls its body, leaves the test |
//! | the timer | sleeps until the next limit, and starts a thread for each that is over |
//! | that thread | asks the tasks, leaves the report with the test, wakes the body, and waits for the test to be left; if it is not, says so and ends the process |
//!
//! The body looks whether there is a report at the beginning of each poll, which costs a load, and
//! panics with it. What is shared is behind the test's own lock, under which nobody else's code runs.

mod body;
mod expired;
mod failed;
mod limit;
mod outcome;
mod report;
mod running;
mod tasks;
mod timer;

pub use body::{TestBody, body};
pub use limit::Limit;
pub use outcome::Outcome;
pub use running::{Current, Running};

use std::time::Duration;

use crate::dump::{Hang, Why};

use running::Whose;

/// Keeps the text of a panic, in case the process ends before the test runner prints it: for the test of ours that runs
/// on this thread or has a task that this thread polls, or for a test that is not ours, if the name of the thread may be
/// that of one.
pub(crate) fn note_panic(thread: &str, message: Option<&str>, text: String) {
    match Current::get().0 {
        Some(test) => test.note_panic(message, text, Whose::Own),
        None => match running::of_runtime() {
            Some(test) => test.note_panic(message, text, Whose::Task),
            None => failed::add_plain(thread, text),
        },
    }
}

/// Returns `true` if the test runner keeps the output of tests back until they have ended.
pub(crate) fn is_captured() -> bool {
    !failed::is_printed()
}

/// What the tests that are running are doing, if any are: for a process that is about to be ended.
pub(crate) fn report_all(signal: &str, budget: Duration) -> Option<String> {
    let tests = running::all();
    let share = budget / u32::try_from(tests.len()).ok()?.max(1);
    let reports = tests.iter().map(|test| {
        let why = Why::Signal(signal.to_owned());
        let hang: Hang = tasks::look_at(test, why, share);
        format!("{hang}\n\n{}", expired::notes(&hang))
    });
    let reports: Vec<String> = reports.collect();
    (!reports.is_empty()).then(|| reports.join("\n"))
}
