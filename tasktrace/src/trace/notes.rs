//! What is to be said of a trace as a whole.

use crate::capture::RawTrace;
use crate::symbol::{Class, Failures, Symbol};

/// What a reader should know before drawing conclusions from what is not there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    /// The names and lines that are missing.
    pub(crate) missing: Option<Missing>,
    /// Leaves that were not recorded for want of room.
    pub(crate) dropped: usize,
    /// Wakers that were cloned by other threads.
    pub(crate) elsewhere: usize,
}

/// The names and lines that are missing, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Names: the program was built without.
    Symbols,
    /// Lines, and the names of what was inlined: the program was built without.
    DebugInfo,
    /// Names and lines: the program's file could not be opened, for this error number.
    File(i32),
}

/// Counts what is there and what is not.
pub(super) struct Survey {
    /// From before the first look-up.
    failures: Failures,
    addresses: usize,
    named: usize,
    lines: usize,
}

impl Survey {
    /// Starts before anything is looked up.
    pub(super) fn start() -> Self {
        Self {
            failures: Failures::so_far(),
            addresses: 0,
            named: 0,
            lines: 0,
        }
    }

    /// Takes note of what is known about one address.
    pub(super) fn see(&mut self, symbols: &[Symbol]) {
        // The standard library comes with its own debug information.
        if symbols.iter().any(|symbol| symbol.class == Class::Std) {
            return;
        }
        self.addresses += 1;
        self.named += usize::from(!symbols.is_empty());
        self.lines += usize::from(symbols.iter().any(|symbol| symbol.line.is_some()));
    }

    pub(super) fn notes(&self, raw: &RawTrace) -> Notes {
        let failure = self.failures.since();
        let missing = match self {
            Self { addresses: 0, .. } => None,
            _ if self.named < self.addresses && failure.is_some() => failure.map(Missing::File),
            Self { named: 0, .. } => Some(Missing::Symbols),
            Self { lines: 0, .. } => Some(Missing::DebugInfo),
            _ => None,
        };
        Notes {
            missing,
            dropped: raw.dropped(),
            elsewhere: raw.elsewhere(),
        }
    }
}
