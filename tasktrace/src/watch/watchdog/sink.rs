//! Where reports go.

use std::fmt;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::dump::StallReport;

#[cfg(not(feature = "tracing"))]
mod stderr;
#[cfg(feature = "tracing")]
mod tracing;

#[cfg(not(feature = "tracing"))]
use self::stderr as default;
#[cfg(feature = "tracing")]
use self::tracing as default;

/// What is called with each report.
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

    /// It is called again after a panic, of which is told once: besides, the hook has told.
    pub(super) fn report(&mut self, report: &StallReport) {
        let called = catch_unwind(AssertUnwindSafe(|| (self.on_stall)(report)));
        let Err(panic) = called else {
            return;
        };
        // It is somebody else's, and so is its destructor.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
        if !std::mem::replace(&mut self.has_panicked, true) {
            say("tasktrace: the function that a watchdog calls has panicked; the watchdog goes on");
        }
    }
}

impl Default for Sink {
    fn default() -> Self {
        Self::new(default::report)
    }
}

/// Says something on stderr, if there is anybody to hear it.
pub(super) fn say(text: impl fmt::Display) {
    // At once, so that the lines of others are not in between.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
