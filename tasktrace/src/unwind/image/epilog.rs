//! Recognises the end of a function, which restores the registers of the caller and returns.
//!
//! Only the leaf of an interrupted thread can be in the middle of an epilog. The instructions of an epilog have fixed
//! forms: they remove the frame of the function from the stack, pop registers, and return or jump to another function.
//! So the rest of an epilog is recognised by its instructions, and emulated here.

use super::function_table::Image;
use super::{RSP, Registers};

/// Returns the registers after the return if the code at this offset is the rest of an epilog. `is_start` returns
/// `true` for an offset at which a function may start. It returns `false` for the start of a further part of a
/// function.
pub(super) fn unwind(
    image: &Image,
    is_start: impl Fn(usize) -> bool,
    code: usize,
    registers: &Registers,
    read: impl Fn(usize) -> Option<usize> + Copy,
) -> Option<Registers> {
    let mut registers = registers.clone();
    let mut at = code;
    if let Some((length, to)) = stack_adjustment(image, at, &registers) {
        registers.set_stack_pointer(to?);
        at += length;
    }
    // An epilog pops each register at most once.
    for _ in 0..registers.general.len() {
        let Some((length, register)) = pop(image, at) else {
            break;
        };
        registers.general[register] = registers.pop(read)?;
        at += length;
    }
    if !leaves(image, is_start, at) {
        return None;
    }
    registers.ip = registers.pop(read)?;
    Some(registers)
}

/// Decodes an instruction that sets the stack pointer. Returns its length and the new stack pointer.
fn stack_adjustment(
    image: &Image,
    at: usize,
    registers: &Registers,
) -> Option<(usize, Option<usize>)> {
    let sp = registers.stack_pointer();
    let [prefix, opcode, operands] = image.bytes(at)?;
    let near = || Some(isize::from(i8::from_le_bytes(image.bytes(at + 3)?)));
    let far = || Some(i32::from_le_bytes(image.bytes(at + 3)?) as isize);
    match (prefix, opcode, operands) {
        // `add rsp, constant`
        (0x48, 0x83, 0xc4) => Some((4, sp.checked_add_signed(near()?))),
        (0x48, 0x81, 0xc4) => Some((7, sp.checked_add_signed(far()?))),
        // `lea rsp, [register + constant]`: the register is the frame pointer. The number of RSP in place of a register
        // stands for a form with two registers.
        (0x48 | 0x49, 0x8d, _) if operands >> 3 & 7 == 4 && usize::from(operands & 7) != RSP => {
            let base = registers.general[usize::from(operands & 7) + usize::from(prefix & 1) * 8];
            match operands >> 6 {
                0b01 => Some((4, base.checked_add_signed(near()?))),
                0b10 => Some((7, base.checked_add_signed(far()?))),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Decodes `pop register`. Returns its length and the number of the register.
fn pop(image: &Image, at: usize) -> Option<(usize, usize)> {
    let is_pop = |byte: u8| (0x58..=0x5f).contains(&byte);
    match image.bytes(at)? {
        [0x41, opcode] if is_pop(opcode) => Some((2, usize::from(opcode - 0x58) + 8)),
        [opcode, _] if is_pop(opcode) => Some((1, usize::from(opcode - 0x58))),
        _ => None,
    }
}

/// Returns `true` if the instruction returns, or jumps to another function, which returns in place of this function.
fn leaves(image: &Image, is_start: impl Fn(usize) -> bool, at: usize) -> bool {
    let leads_to_start = |length: usize, distance: isize| {
        let target = (at + length).checked_add_signed(distance);
        target.is_some_and(&is_start)
    };
    match image.bytes::<5>(at) {
        // `ret`, `ret constant` and `rep ret`.
        Some([0xc3 | 0xc2, ..] | [0xf3, 0xc3, ..]) => true,
        // `jmp distance`
        Some([0xeb, distance, ..]) => leads_to_start(2, isize::from(distance.cast_signed())),
        Some([0xe9, d0, d1, d2, d3]) => {
            leads_to_start(5, i32::from_le_bytes([d0, d1, d2, d3]) as isize)
        }
        // `jmp [rip + distance]`, to a function of another image.
        Some([0xff, 0x25, ..] | [0x48, 0xff, 0x25, ..]) => true,
        // `rex.w jmp register`: compilers mark jumps to other functions by this prefix.
        Some([0x48..=0x4f, 0xff, target, ..]) => target >> 3 == 0b11100,
        _ => false,
    }
}
