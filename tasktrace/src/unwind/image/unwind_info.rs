//! Finds the caller of a function from its unwind information.
//!
//! The unwind information of a function lists, last first, what its prolog does to the stack pointer and to registers
//! that belong to the caller. The format is that of x86_64, versions 1 and 2.

use super::Registers;
use super::epilog;
use super::function_table::{Function, Image};

/// The largest number of parts of a function that continue each other.
const MAX_PARTS: usize = 32;

// The operations.
const PUSH_REGISTER: u8 = 0;
const ALLOCATE_LARGE: u8 = 1;
const ALLOCATE_SMALL: u8 = 2;
const SET_FRAME_POINTER: u8 = 3;
const SAVE_REGISTER: u8 = 4;
const SAVE_REGISTER_FAR: u8 = 5;
/// Describes an epilog, in version 2.
const EPILOG: u8 = 6;
const SAVE_XMM: u8 = 8;
const SAVE_XMM_FAR: u8 = 9;
const PUSH_MACHINE_FRAME: u8 = 10;

/// The flag of a part whose information continues in that of another part.
const CHAINED: u8 = 4;

/// The header of the unwind information.
struct Header {
    version: u8,
    flags: u8,
    prolog: usize,
    /// The number of slots of two bytes that the operations have.
    slots: usize,
    /// The number of the frame pointer, or 0 if the function has none.
    frame_pointer: usize,
    /// The distance from the stack pointer after the prolog to the frame pointer.
    frame_offset: usize,
}

impl Header {
    const SIZE: usize = 4;

    fn read(image: &Image, at: usize) -> Option<Self> {
        let [first, prolog, slots, frame] = image.bytes(at)?;
        Some(Self {
            version: first & 0b111,
            flags: first >> 3,
            prolog: prolog.into(),
            slots: slots.into(),
            frame_pointer: usize::from(frame & 0xf),
            frame_offset: usize::from(frame >> 4) * 16,
        })
    }
}

/// An operation of a prolog.
struct Operation {
    /// The offset of the next instruction from the start of the function.
    end: usize,
    code: u8,
    info: u8,
    /// The number in the second slot, if the operation has two.
    number: usize,
    /// The number in the second and the third slot, if the operation has three.
    far_number: usize,
}

impl Operation {
    fn read(image: &Image, at: usize) -> Option<Self> {
        // This also reads the bytes behind a shorter operation. An image does not end there, and if it did, the walk
        // would only end.
        let [end, operation, number @ ..] = image.bytes::<6>(at)?;
        let far_number = u32::from_le_bytes(number) as usize;
        Some(Self {
            end: end.into(),
            code: operation & 0xf,
            info: operation >> 4,
            number: far_number & 0xffff,
            far_number,
        })
    }

    /// Returns the number of slots. Returns `None` for an unknown operation.
    fn slots(&self, version: u8) -> Option<usize> {
        match (self.code, self.info) {
            (PUSH_REGISTER | ALLOCATE_SMALL | SET_FRAME_POINTER | PUSH_MACHINE_FRAME, _) => Some(1),
            (ALLOCATE_LARGE, 0) | (SAVE_REGISTER | SAVE_XMM, _) => Some(2),
            (ALLOCATE_LARGE, 1) | (SAVE_REGISTER_FAR | SAVE_XMM_FAR, _) => Some(3),
            (EPILOG, _) if version == 2 => Some(2),
            _ => None,
        }
    }
}

/// Replaces the registers of a function by those of its caller, as they will be after the return. Returns `None` if the
/// walk is lost. Then the registers have no meaning.
///
/// If `is_leaf` is `true`, the instruction pointer is the address of the next instruction of an interrupted thread.
/// Otherwise it is a return address. `read` returns the word of the stack at an address.
pub(super) fn unwind(
    image: &Image,
    is_leaf: bool,
    registers: &mut Registers,
    read: impl Fn(usize) -> Option<usize> + Copy,
) -> Option<()> {
    let code = image.offset_of(registers.ip.wrapping_sub(usize::from(!is_leaf)))?;
    match image.function_at(code) {
        Some(function) => {
            // `code` is in the call. All bytes up to the return address were executed. A row that another row refers to
            // may be that of code behind this code. Then all of its prolog was executed.
            let executed = (code + usize::from(!is_leaf)).checked_sub(function.start);
            let executed = executed.unwrap_or(usize::MAX);
            let header = Header::read(image, function.unwind_info)?;
            if is_leaf
                && executed >= header.prolog
                && let Some(unwound) =
                    epilog::unwind(image, |at| is_start(image, at), code, registers, read)
            {
                *registers = unwound;
                return Some(());
            }
            undo_prolog(image, function, executed, registers, read)
        }
        // A function without a row does not change the stack pointer, so it calls no other function.
        None if is_leaf => {
            registers.ip = registers.pop(read)?;
            Some(())
        }
        None => None,
    }
}

/// Returns `true` if a function may start at this offset: a function with a row, or anywhere a function without one.
fn is_start(image: &Image, code: usize) -> bool {
    let Some(function) = image.function_at(code) else {
        return true;
    };
    let header = Header::read(image, function.unwind_info);
    code == function.start && header.is_some_and(|header| header.flags & CHAINED == 0)
}

/// Undoes the operations of the prolog that end within the first `executed` bytes of the function.
fn undo_prolog(
    image: &Image,
    mut function: Function,
    mut executed: usize,
    registers: &mut Registers,
    read: impl Fn(usize) -> Option<usize> + Copy,
) -> Option<()> {
    for _ in 0..MAX_PARTS {
        let at = function.unwind_info;
        let header = Header::read(image, at)?;
        if !matches!(header.version, 1 | 2) {
            return None;
        }
        let operations = at + Header::SIZE;
        if undo_operations(image, &header, operations, executed, registers, read)? == Undone::Caller
        {
            return Some(());
        }
        if header.flags & CHAINED == 0 {
            registers.ip = registers.pop(read)?;
            return Some(());
        }
        // The row of the part that this one continues is behind the operations, whose number of slots is made even. All
        // of the prolog of that part was executed.
        function = image.function_row(operations + header.slots.next_multiple_of(2) * 2)?;
        executed = usize::MAX;
    }
    None
}

/// The result of undoing the operations of a part.
#[derive(PartialEq, Eq)]
enum Undone {
    /// The return address is on top of the stack, if the part continues no other part.
    Part,
    /// The part is the handler of an exception or of an interrupt. The registers are those of the code that it
    /// interrupted.
    Caller,
}

/// Undoes the operations of one part, which begin at the offset `start`.
fn undo_operations(
    image: &Image,
    header: &Header,
    start: usize,
    executed: usize,
    registers: &mut Registers,
    read: impl Fn(usize) -> Option<usize> + Copy,
) -> Option<Undone> {
    // The places of saved registers are relative to the stack pointer as the prolog has left it. A function with a
    // frame pointer may have changed the stack pointer since.
    let mut operations = Vec::with_capacity(header.slots);
    let mut at = 0;
    while at < header.slots {
        let operation = Operation::read(image, start + at * 2)?;
        at += operation.slots(header.version)?;
        if operation.code != EPILOG && operation.end <= executed {
            operations.push(operation);
        }
    }
    let sets_frame_pointer = |it: &Operation| it.code == SET_FRAME_POINTER;
    let has_frame_pointer = header.frame_pointer != 0
        && (executed >= header.prolog || operations.iter().any(sets_frame_pointer));
    let frame = match has_frame_pointer {
        true => registers.general[header.frame_pointer].checked_sub(header.frame_offset)?,
        false => registers.stack_pointer(),
    };
    for operation in operations {
        let info = usize::from(operation.info);
        let allocated = match operation.code {
            PUSH_REGISTER => {
                registers.general[info] = registers.pop(read)?;
                continue;
            }
            SET_FRAME_POINTER => {
                registers.set_stack_pointer(frame);
                continue;
            }
            SAVE_REGISTER => {
                registers.general[info] = read(frame.checked_add(operation.number * 8)?)?;
                continue;
            }
            SAVE_REGISTER_FAR => {
                registers.general[info] = read(frame.checked_add(operation.far_number)?)?;
                continue;
            }
            PUSH_MACHINE_FRAME => {
                // The processor has pushed SS, RSP, the flags, CS and RIP, and maybe the code of an error.
                let at = registers.stack_pointer().checked_add(info * 8)?;
                registers.ip = read(at)?;
                registers.set_stack_pointer(read(at.checked_add(24)?)?);
                return Some(Undone::Caller);
            }
            ALLOCATE_SMALL => info * 8 + 8,
            ALLOCATE_LARGE if info == 0 => operation.number * 8,
            ALLOCATE_LARGE => operation.far_number,
            _ => continue,
        };
        let above = registers.stack_pointer().checked_add(allocated)?;
        registers.set_stack_pointer(above);
    }
    Some(Undone::Part)
}
