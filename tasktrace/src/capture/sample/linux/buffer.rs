//! Holds the data that the handler writes and the requester reads.

use super::super::{NoSample, ReadSampledScopes, SampledScope, SampledScopes, WalkedSample};
use super::context::InterruptedRegisters;
use super::copy::{self, IoVec, PAGE};
use super::socket_pair::SocketPair;
use crate::unwind::{InterruptedThread, RED_ZONE, StackPointer};

/// The number of bytes of a stack that are copied. Of a deeper stack, the part nearer to the root is missing.
const MAX_STACK: usize = 512 << 10;

/// The copied state of an interrupted thread.
pub(super) struct SampleBuffer {
    read_scopes: ReadSampledScopes,
    registers: InterruptedRegisters,
    scopes: SampledScopes,
    /// `true` if too little of the alternate stack was left, so that the handler copied nothing.
    pub(super) lacked_stack: bool,
    /// The copy of the stack, in the first [`copied`](Self::copied) bytes.
    stack: Box<[u8]>,
    copied: usize,
    /// A buffer for [`copy`](copy::copy). It is not on the stack, of which little may be left in the handler.
    ranges: Box<[IoVec]>,
    /// The sockets for [`copy`](copy::copy) where the system lacks a call. They are closed when the sample has been
    /// read, because a program may close descriptors that it does not know.
    sockets: Option<SocketPair>,
}

impl SampleBuffer {
    pub(super) fn new() -> Self {
        Self {
            read_scopes: |_, _| {},
            registers: InterruptedRegisters::default(),
            scopes: SampledScopes::with_capacity(),
            lacked_stack: false,
            // Non-zero bytes, so that the system maps the pages now and not in the handler.
            stack: vec![0xa5; MAX_STACK].into(),
            copied: 0,
            ranges: vec![IoVec::default(); MAX_STACK / PAGE + 1].into(),
            sockets: None,
        }
    }

    /// Empties the buffer for the next request.
    pub(super) fn prepare(&mut self, read_scopes: ReadSampledScopes) {
        self.read_scopes = read_scopes;
        self.scopes.0.clear();
        self.lacked_stack = false;
        self.copied = 0;
        self.sockets = match copy::has_system_call() {
            true => None,
            false => SocketPair::open(),
        };
    }

    /// Writes the registers, the polls on the thread and a copy of its stack. The handler calls this, so it allocates
    /// nothing and takes no lock.
    pub(super) fn fill(&mut self, registers: InterruptedRegisters) {
        self.registers = registers;
        (self.read_scopes)(None, &mut self.scopes);
        // The copy ends at the outermost poll. If a poll is too far away or on another stack, it ends at the limit.
        let start = registers.stack_pointer.saturating_sub(RED_ZONE);
        let distance = |scope: &SampledScope| scope.mark.distance(StackPointer(start));
        let lengths = self.scopes.0.iter().map(distance);
        let lengths = lengths.map(|length| length.unwrap_or(usize::MAX));
        let length = lengths.max().unwrap_or(0).min(MAX_STACK);
        let sockets = self.sockets.as_ref();
        self.copied = copy::copy(start, length, &mut self.stack, &mut self.ranges, sockets);
    }

    /// Walks the copied stack. The requester calls this.
    pub(super) fn walk(&mut self) -> Result<WalkedSample, NoSample> {
        self.sockets = None;
        if self.lacked_stack {
            return Err(NoSample::NoRoom);
        }
        let scopes: Vec<SampledScope> = self.scopes.0.drain(..).collect();
        if scopes.is_empty() {
            return Err(NoSample::Over);
        }
        if self.copied == 0 {
            return Err(NoSample::Refused);
        }
        let thread = InterruptedThread {
            ip: self.registers.ip,
            stack_pointer: self.registers.stack_pointer,
            frame_pointer: self.registers.frame_pointer,
            link: self.registers.link,
            general: &[],
            is_fiber: false,
            stack: self.stack.get(..self.copied).unwrap_or_default(),
            is_cut: self.copied == MAX_STACK,
        };
        Ok(WalkedSample::new(&thread, scopes))
    }
}
