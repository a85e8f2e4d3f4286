//! The memory that the handler writes and the asker reads.

use super::super::{Collect, NoSample, Scopes, Seen, Walked};
use super::context::Registers;
use super::copy::{self, PAGE, Piece};
use crate::unwind::{Interrupted, RED_ZONE, StackPointer};

/// As much of a stack is copied. Of a deeper one, the part that is nearer to the root is missing.
const MOST_STACK: usize = 512 << 10;

pub(super) struct Room {
    collect: Collect,
    registers: Registers,
    scopes: Scopes,
    /// The handler had no room to do anything.
    pub(super) had_no_room: bool,
    /// The part of the stack that was copied is at the beginning.
    stack: Box<[u8]>,
    copied: usize,
    /// For [`copy`](copy::copy). Not on the stack, of which the interrupted thread may have little.
    pieces: Box<[Piece]>,
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            collect: |_| {},
            registers: Registers::default(),
            scopes: Scopes::with_room(),
            had_no_room: false,
            // Not zeroes, which the system would hand out page by page, in the handler.
            stack: vec![0xa5; MOST_STACK].into(),
            copied: 0,
            pieces: vec![Piece::default(); MOST_STACK / PAGE + 1].into(),
        }
    }

    pub(super) fn prepare(&mut self, collect: Collect) {
        self.collect = collect;
        self.scopes.0.clear();
        self.had_no_room = false;
        self.copied = 0;
    }

    /// Writes the registers, the polls on the thread and a copy of its stack. The handler calls it, so it allocates nothing
    /// and takes no lock.
    pub(super) fn fill(&mut self, registers: Registers) {
        self.registers = registers;
        (self.collect)(&mut self.scopes);
        // Up to the outermost poll. As far as possible, if one of them is too far away, or not on this
        // stack.
        let start = registers.stack_pointer.saturating_sub(RED_ZONE);
        let distance = |seen: &Seen| seen.mark.distance(StackPointer(start));
        let lengths = self.scopes.0.iter().map(distance);
        let lengths = lengths.map(|length| length.unwrap_or(usize::MAX));
        let length = lengths.max().unwrap_or(0).min(MOST_STACK);
        self.copied = copy::copy(start, length, &mut self.stack, &mut self.pieces);
    }

    /// What the asker makes of it.
    pub(super) fn walk(&mut self) -> Result<Walked, NoSample> {
        if self.had_no_room {
            return Err(NoSample::NoRoom);
        }
        let scopes: Vec<Seen> = self.scopes.0.drain(..).collect();
        if scopes.is_empty() {
            return Err(NoSample::Over);
        }
        if self.copied == 0 {
            return Err(NoSample::Refused);
        }
        let thread = Interrupted {
            ip: self.registers.ip,
            stack_pointer: self.registers.stack_pointer,
            frame_pointer: self.registers.frame_pointer,
            link: self.registers.link,
            stack: self.stack.get(..self.copied).unwrap_or_default(),
            is_cut: self.copied == MOST_STACK,
        };
        Ok(Walked::new(&thread, scopes))
    }
}
