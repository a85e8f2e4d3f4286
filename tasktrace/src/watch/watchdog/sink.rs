//! The destination of reports.

use std::fmt;
use std::io::{self, Write};

use crate::dump::StallReport;
use crate::sync::caught;

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

    /// Calls the function with a report. If it panics, that is printed the first time, and the function is called again
    /// with the next report.
    pub(super) fn report(&mut self, report: &StallReport) {
        let called = caught(|| (self.on_stall)(report));
        if called.is_none() && !std::mem::replace(&mut self.has_panicked, true) {
            say("tasktrace: the function that a watchdog calls has panicked; the watchdog goes on");
        }
    }
}

impl Default for Sink {
    fn default() -> Self {
        Self::new(default::report)
    }
}

/// Prints a line on stderr, and ignores errors.
pub(super) fn say(text: impl fmt::Display) {
    // One write, so that other lines are not in between.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
