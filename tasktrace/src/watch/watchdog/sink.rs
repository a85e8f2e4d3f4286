//! Passes reports to their destination.

use std::fmt;

use crate::dump::StallReport;
use crate::os;
use crate::sync::catch_panic;

#[cfg(not(feature = "tracing"))]
mod stderr;
#[cfg(feature = "tracing")]
mod tracing;

#[cfg(not(feature = "tracing"))]
use self::stderr as default;
#[cfg(feature = "tracing")]
use self::tracing as default;

/// The function that handles reports.
pub(super) struct Sink {
    on_stall: Box<dyn FnMut(&StallReport) + Send>,
    has_panicked: bool,
}

impl Sink {
    pub(super) fn new(on_stall: impl FnMut(&StallReport) + Send + 'static) -> Self {
        Self {
            on_stall: Box::new(on_stall),
            has_panicked: false,
        }
    }

    /// Calls the function with a report. The first panic of the function is printed. After a panic, the function is
    /// called again with the next report.
    pub(super) fn report(&mut self, report: &StallReport) {
        let called = catch_panic(|| (self.on_stall)(report));
        if called.is_none() && !std::mem::replace(&mut self.has_panicked, true) {
            print(
                "tasktrace: the function that a watchdog calls has panicked; the watchdog continues",
            );
        }
    }
}

impl Default for Sink {
    fn default() -> Self {
        Self::new(default::report)
    }
}

/// Prints a line on stderr.
pub(super) fn print(text: impl fmt::Display) {
    os::stderr::write(&format!("{text}\n"));
}

#[cfg(all(test, unix))]
mod tests {
    use std::io;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// The task that is reported may hold the lock of the standard library while it waits for the reader of stderr.
    #[test]
    fn a_report_does_not_wait_for_a_thread_that_locks_stderr() {
        let locked = io::stderr().lock();
        let (done, is_done) = mpsc::channel();
        let printer = thread::spawn(move || {
            print("a line that a test prints");
            let _ = done.send(());
        });
        let printed = is_done.recv_timeout(Duration::from_secs(20));
        drop(locked);
        printer.join().expect("it ends");
        assert_eq!(printed, Ok(()));
    }
}
