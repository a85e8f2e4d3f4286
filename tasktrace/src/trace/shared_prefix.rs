//! Finds the entries that a stack shares with the previous stack.
//!
//! A tree has a stack for each leaf, and in a deep tree most of each stack is the same as the previous one: if there is
//! a leaf at each depth, the total length of the stacks is quadratic in the depth. So frames are made only of the
//! entries after the shared ones, and the shared entries are only compared, as numbers.

use crate::capture::{InternedCapture, Stack, StackEntry};
use crate::symbol::ReturnAddress;

/// Compares the current stack with the previous stack, and keeps track of the frames that have been made of it.
#[derive(Default)]
pub(super) struct SharedPrefix {
    current: Vec<StackEntry>,
    previous: Vec<StackEntry>,
    /// The number of frames that have been made after each converted entry of the current stack.
    frame_counts: Vec<usize>,
    /// `true` if the remaining entries of the current stack are not shown.
    is_ended: bool,
}

impl SharedPrefix {
    /// Continues with the next stack. Returns the number of frames of the previous stack that belong to this stack as
    /// well.
    pub(super) fn follow(&mut self, raw: &InternedCapture, stack: &Stack) -> usize {
        std::mem::swap(&mut self.current, &mut self.previous);
        self.current.clear();
        self.current.extend(raw.entries(stack));
        let both = self.current.iter().zip(&self.previous);
        let mut same = both.take_while(|(one, other)| one == other).count();
        // A marker belongs to the entry that it follows, so the shared part does not end before a marker.
        let is_marker = |current: &[StackEntry], at: usize| {
            matches!(current.get(at), Some(StackEntry::Marker(_)))
        };
        while same > 0 && (is_marker(&self.current, same) || is_marker(&self.previous, same)) {
            same -= 1;
        }
        if same < self.frame_counts.len() {
            self.frame_counts.truncate(same);
            self.is_ended = false;
        }
        self.frame_count()
    }

    /// Returns the number of frames that have been made of the current stack so far.
    fn frame_count(&self) -> usize {
        self.frame_counts.last().copied().unwrap_or(0)
    }

    /// Returns the last converted address.
    pub(super) fn caller(&self) -> Option<ReturnAddress> {
        let made = &self.current[..self.frame_counts.len()];
        made.iter().rev().find_map(|entry| match entry {
            StackEntry::Ip(address) => Some(*address),
            _ => None,
        })
    }

    /// Returns the next entry to convert, unless the remaining entries are not shown.
    pub(super) fn next(&self) -> Option<StackEntry> {
        match self.is_ended {
            true => None,
            false => self.current.get(self.frame_counts.len()).copied(),
        }
    }

    /// Records that the next entry has been converted, and the number of frames of the stack after that.
    pub(super) fn record(&mut self, frame_count: usize) {
        self.frame_counts.push(frame_count);
    }

    /// Ends the current stack: the remaining entries are not shown.
    pub(super) fn end(&mut self) {
        self.is_ended = true;
    }

    /// Forgets all converted entries, so that the next stack shares no frames with the current one.
    pub(super) fn forget(&mut self) {
        self.frame_counts.clear();
        self.is_ended = false;
    }
}
