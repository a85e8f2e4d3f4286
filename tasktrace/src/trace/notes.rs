//! Collects the notes on a trace as a whole: missing names and lines, lost leaves, and wakers of other threads.

use crate::capture::RawTrace;
use crate::symbol::{self, Class, LookupFailures, Symbol};

/// The notes on a trace. A reader should know them before drawing conclusions from missing frames.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    /// The names and lines that are missing.
    pub(crate) missing: Option<Missing>,
    /// The number of leaves that were not recorded for lack of memory.
    pub(crate) dropped: usize,
    /// The number of wakers that other threads cloned.
    pub(crate) remote_clones: usize,
}

/// The names and lines that are missing, with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Names are missing because the program was built without symbols.
    Symbols,
    /// Lines and the names of inlined functions are missing because the program was built without debug information.
    DebugInfo,
    /// Names and lines are missing because the program's file could not be opened, with this error number.
    File(i32),
    /// Names and lines are missing because the program's file was removed or replaced since the program was started.
    FileGone,
}

/// Counts the addresses with and without names and lines.
pub(super) struct SymbolCoverage {
    /// The failures of symbol look-ups before the first look-up of this trace.
    failures: LookupFailures,
    addresses: usize,
    /// The number of addresses with a name.
    named: usize,
    /// The number of addresses with a line.
    lines: usize,
}

impl SymbolCoverage {
    /// Starts counting. Call this before the first symbol is looked up.
    pub(super) fn start() -> Self {
        Self {
            failures: LookupFailures::so_far(),
            addresses: 0,
            named: 0,
            lines: 0,
        }
    }

    /// Counts one address, for which these symbols were found.
    pub(super) fn count(&mut self, symbols: &[Symbol]) {
        // The standard library comes with its own debug information.
        if symbols.iter().any(|symbol| symbol.class == Class::Std) {
            return;
        }
        self.addresses += 1;
        self.named += usize::from(!symbols.is_empty());
        self.lines += usize::from(symbols.iter().any(|symbol| symbol.line.is_some()));
    }

    /// Returns the notes on a trace whose addresses have been counted.
    pub(super) fn notes(&self, raw: &RawTrace) -> Notes {
        let failure = self.failures.since();
        let missing = match self {
            Self { addresses: 0, .. } => None,
            _ if self.named < self.addresses && failure.is_some() => failure.map(Missing::File),
            _ if self.named < self.addresses && symbol::is_program_file_gone() => {
                Some(Missing::FileGone)
            }
            Self { named: 0, .. } => Some(Missing::Symbols),
            Self { lines: 0, .. } => Some(Missing::DebugInfo),
            _ => None,
        };
        Notes {
            missing,
            dropped: raw.dropped(),
            remote_clones: raw.remote_clones(),
        }
    }
}
