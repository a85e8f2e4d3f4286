//! Passes reports to their destination.

use std::fmt;
use std::io::{self, Write};

use crate::dump::StallReport;
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

/// Prints a line on stderr, and ignores errors.
pub(super) fn print(text: impl fmt::Display) {
    // One write, so that other lines are not in between.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
