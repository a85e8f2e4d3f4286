//! Tells how far a stack leads the same way as the one before it.
//!
//! A tree has a stack for each leaf, and in a deep one most of each is the way to the leaf before: the
//! lengths of all stacks are quadratic in the depth if there is a leaf at each. So the frames of a stack
//! are made from where it parts from the one before, and the rest of it is compared only, as numbers.

use crate::capture::{Entry, Interned, Stack};
use crate::symbol::ReturnAddress;

/// The stack that is being looked at, and the one before.
#[derive(Default)]
pub(super) struct Shared {
    entries: Vec<Entry>,
    before: Vec<Entry>,
    /// What has been made of the stack: its length after each of its entries.
    lengths: Vec<usize>,
    /// The rest of the stack is not shown.
    is_over: bool,
}

impl Shared {
    /// Goes on to the next stack. Returns the length of what has been made of the one before that is so
    /// for this one as well.
    pub(super) fn follow(&mut self, raw: &Interned, stack: &Stack) -> usize {
        std::mem::swap(&mut self.entries, &mut self.before);
        self.entries.clear();
        self.entries.extend(raw.entries(stack));
        let both = self.entries.iter().zip(&self.before);
        let mut same = both.take_while(|(one, other)| one == other).count();
        // Markers belong to the entry that they follow.
        let is_marker =
            |entries: &[Entry], at: usize| matches!(entries.get(at), Some(Entry::Marker(_)));
        while same > 0 && (is_marker(&self.entries, same) || is_marker(&self.before, same)) {
            same -= 1;
        }
        if same < self.lengths.len() {
            self.lengths.truncate(same);
            self.is_over = false;
        }
        self.length()
    }

    /// The length of what has been made of the stack so far.
    fn length(&self) -> usize {
        self.lengths.last().copied().unwrap_or(0)
    }

    /// The last address of those that something has been made of.
    pub(super) fn caller(&self) -> Option<ReturnAddress> {
        let made = &self.entries[..self.lengths.len()];
        made.iter().rev().find_map(|entry| match entry {
            Entry::Ip(address) => Some(*address),
            _ => None,
        })
    }

    /// The next entry of which nothing has been made, if that is to be shown.
    pub(super) fn next(&self) -> Option<Entry> {
        match self.is_over {
            true => None,
            false => self.entries.get(self.lengths.len()).copied(),
        }
    }

    /// Says how long it is what has been made of the stack, with that entry.
    pub(super) fn made(&mut self, length: usize) {
        self.lengths.push(length);
    }

    /// The rest of the stack is not shown.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }

    /// Nothing that has been made is so for the next stack as well.
    pub(super) fn forget(&mut self) {
        self.lengths.clear();
        self.is_over = false;
    }
}
