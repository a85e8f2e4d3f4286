//! What is to be said of a trace as a whole.

use crate::capture::RawTrace;
use crate::symbol::{Class, Symbol};

/// What a reader should know before drawing conclusions from what is not there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    /// What the program was built without.
    pub(crate) missing: Option<Missing>,
    /// Leaves that were not recorded for want of room.
    pub(crate) dropped: usize,
    /// Wakers that were cloned by other threads.
    pub(crate) elsewhere: usize,
}

/// What the program was built without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Names.
    Symbols,
    /// Lines, and the names of what was inlined.
    DebugInfo,
}

/// Counts what is there and what is not.
#[derive(Default)]
pub(super) struct Survey {
    addresses: usize,
    named: usize,
    lines: usize,
}

impl Survey {
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
        let missing = match self {
            Self { addresses: 0, .. } => None,
            Self { named: 0, .. } => Some(Missing::Symbols),
            Self { lines: 0, .. } => Some(Missing::DebugInfo),
            _ => None,
        };
        Notes {
            missing,
            dropped: raw.dropped,
            elsewhere: raw.elsewhere,
        }
    }
}
