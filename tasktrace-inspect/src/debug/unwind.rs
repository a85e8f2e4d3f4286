//! Callers of functions, by the unwind tables of an ELF file.

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, LittleEndian, ParsedEhFrameHdr, Register,
    RegisterRule, UnwindContext, UnwindSection,
};
use object::{Object, ObjectSection};

use super::prologue::size_below_base_pointer;
use super::{DebugFile, Slice};

/// The numbers that DWARF gives to `rbp` and `rsp`.
const RBP: Register = Register(6);
const RSP: Register = Register(7);

/// The numbers of the registers that functions keep for their callers: `rbx`, `rbp` and `r12` to `r15`.
const KEPT: [Register; 6] = [
    Register(3),
    RBP,
    Register(12),
    Register(13),
    Register(14),
    Register(15),
];

/// The unwind tables of an ELF file.
pub(crate) struct UnwindTables<'d> {
    file: &'d DebugFile,
    frames: EhFrame<Slice<'d>>,
    header: ParsedEhFrameHdr<Slice<'d>>,
    bases: BaseAddresses,
}

/// The registers of a function, as far as they are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registers {
    /// The address of the instruction, or of the one after a call.
    pub(crate) instruction: u64,
    pub(crate) stack_pointer: u64,
    pub(crate) base_pointer: Option<u64>,
    /// The addresses at which callees have stored the values of the registers that they keep. A register that no callee
    /// has stored is not on the stack.
    pub(crate) stored: [Option<u64>; KEPT.len()],
}

impl Registers {
    /// Returns the registers of a thread, of which the system tells two.
    pub(crate) fn new(instruction: u64, stack_pointer: u64) -> Self {
        Self {
            instruction,
            stack_pointer,
            base_pointer: None,
            stored: [None; KEPT.len()],
        }
    }
}

impl<'d> UnwindTables<'d> {
    /// Finds the tables. Returns `None` if the file has none.
    pub(super) fn new(file: &'d DebugFile, parsed: &object::File<'d>) -> Option<Self> {
        let section = |name| {
            let section = parsed.section_by_name(name)?;
            Some((section.address(), section.data().ok()?))
        };
        let (frames_address, frames) = section(".eh_frame")?;
        let (header_address, header) = section(".eh_frame_hdr")?;
        let bases = BaseAddresses::default()
            .set_eh_frame(frames_address)
            .set_eh_frame_hdr(header_address);
        let header = EhFrameHdr::new(header, LittleEndian)
            .parse(&bases, 8)
            .ok()?;
        Some(Self {
            file,
            frames: EhFrame::new(frames, LittleEndian),
            header,
            bases,
        })
    }

    /// Returns the registers of the caller of a function, whose stack pointer is the end of the frame of the function.
    /// `address` is that of an instruction of the function, before the program was moved. `read` reads a word of the
    /// stack.
    pub(crate) fn caller(
        &self,
        address: u64,
        registers: Registers,
        read: impl Fn(u64) -> Option<u64>,
    ) -> Option<Registers> {
        let table = self.header.table()?;
        let entry = table
            .fde_for_address(&self.frames, &self.bases, address, EhFrame::cie_from_offset)
            .ok()?;
        if entry.is_signal_trampoline() {
            return None;
        }
        let mut context = UnwindContext::new();
        let row = entry
            .unwind_info_for_address(&self.frames, &self.bases, &mut context, address)
            .ok()?;
        let end = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                let base = match *register {
                    RSP => registers.stack_pointer,
                    RBP => registers
                        .base_pointer
                        .or_else(|| self.base_pointer(entry.initial_address(), registers))?,
                    _ => return None,
                };
                base.checked_add_signed(*offset)?
            }
            CfaRule::Expression(_) => return None,
        };
        // A call pushes an address, so the stack shrinks with each caller.
        if end <= registers.stack_pointer {
            return None;
        }
        let base_pointer = match row.register(RBP) {
            // Functions keep the register for their callers.
            None | Some(RegisterRule::SameValue) => registers.base_pointer,
            Some(RegisterRule::Offset(offset)) => read(end.checked_add_signed(offset)?),
            Some(_) => None,
        };
        let mut stored = registers.stored;
        for (stored, register) in stored.iter_mut().zip(KEPT) {
            if let Some(RegisterRule::Offset(offset)) = row.register(register) {
                *stored = Some(end.checked_add_signed(offset)?);
            }
        }
        Some(Registers {
            instruction: read(end.checked_sub(8)?)?,
            stack_pointer: end,
            base_pointer,
            stored,
        })
    }

    /// Returns the base pointer of a function with this address. The system tells only the stack pointer of a thread, and
    /// the functions of the standard library address their frames by the base pointer.
    fn base_pointer(&self, function: u64, registers: Registers) -> Option<u64> {
        /// The length of the longest prologue.
        const PROLOGUE: usize = 32;
        let code = self.file.loaded(function, PROLOGUE)?;
        registers
            .stack_pointer
            .checked_add(size_below_base_pointer(code)?)
    }
}
