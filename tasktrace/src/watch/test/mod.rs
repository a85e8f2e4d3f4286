//! Reports tests that do not end, and makes them fail.
//!
//! * [`running`]: registers the running tests, from the call of the function to its return.
//! * [`body`]: the future of a test, through which it is made to fail.
//! * [`limit`]: the time limit of a test.
//! * [`timer`]: the thread that waits for the next limit.
//! * [`outcome`]: decides if the value that a body returns is a failure.
//! * [`failed`]: keeps the output of failed tests.
//! * [`expired`]: makes a test fail after its limit; [`report`]: writes the report to a file.
//! * [`tasks`]: determines the tasks of a test.
//!
//! | thread | job |
//! |---|---|
//! | the thread of the test | registers the test, polls its body, removes the test |
//! | the timer | sleeps until the next limit, and starts a thread for each test whose limit is over |
//! | the thread for one such test | asks the tasks, passes the report to the test, wakes the body, and waits until the test has ended; if it does not end, prints the reason and ends the process |
//!
//! At the start of each poll, the body checks for a report, which costs one load. If there is a report, the body panics
//! with it. The shared state is behind the lock of the test, and no foreign code runs under that lock.

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
pub use running::{CurrentTest, RunningTest};

use std::time::Duration;

use crate::dump::{Hang, HangTrigger};

use running::PanicThread;

/// Keeps the text of a panic, in case the process ends before the test runner prints it. The panic belongs to the
/// `#[tasktrace::test]` that runs on this thread, or whose task this thread polls. Otherwise it belongs to a plain
/// test, if the name of the thread may be that of a test.
pub(crate) fn note_panic(thread: &str, message: Option<&str>, text: String) {
    match CurrentTest::get().0 {
        Some(test) => test.note_panic(message, text, PanicThread::Own),
        None => match running::of_current_runtime() {
            Some(test) => test.note_panic(message, text, PanicThread::Task),
            None => failed::add_plain(thread, text),
        },
    }
}

/// Returns `true` if the test runner captures the output of tests until they have ended.
pub(crate) fn is_captured() -> bool {
    !failed::is_printed()
}

/// Returns reports about the running tests, for a process that is about to be ended by a signal. Returns `None` if no
/// test is running.
pub(crate) fn report_all(signal: &str, budget: Duration) -> Option<String> {
    let tests = running::all();
    let share = budget / u32::try_from(tests.len()).ok()?.max(1);
    let reports = tests.iter().map(|test| {
        let why = HangTrigger::Signal(signal.to_owned());
        let hang: Hang = tasks::capture_hang(test, why, share);
        format!("{hang}\n\n{}", expired::notes(&hang))
    });
    let reports: Vec<String> = reports.collect();
    (!reports.is_empty()).then(|| reports.join("\n"))
}
