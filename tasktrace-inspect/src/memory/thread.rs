//! Threads and where their stacks are.

use crate::address::Address;
use crate::bytes::{u32_at, u64_at};

/// A thread of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thread {
    pub(crate) id: u32,
    /// The top of its stack, unless it runs.
    pub(crate) stack_pointer: Option<Address>,
    /// The instruction that it executes next, unless it runs.
    pub(crate) instruction: Option<Address>,
}

/// The offsets of `pr_pid` and `pr_reg` in a `struct elf_prstatus` of x86-64.
const PR_PID: usize = 32;
const PR_REG: usize = 112;
/// The offsets of `rip` and `rsp` in a `struct user_regs_struct`.
const RIP: usize = 16 * 8;
const RSP: usize = 19 * 8;

impl Thread {
    /// Reads the note `NT_PRSTATUS` of a core file.
    pub(crate) fn from_prstatus(note: &[u8]) -> Option<Self> {
        Some(Self {
            id: u32_at(note, PR_PID)?,
            stack_pointer: u64_at(note, PR_REG + RSP).map(Address::new),
            instruction: u64_at(note, PR_REG + RIP).map(Address::new),
        })
    }
}
