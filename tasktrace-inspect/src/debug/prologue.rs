//! The first instructions of a function.

/// Returns the size of a frame below the base pointer, in bytes, of a function that begins with these instructions of
/// x86-64: those that set the base pointer, then those that push registers, then one that makes room. Returns `None` for
/// functions that begin otherwise, that align the stack pointer, or that make room page by page.
pub(super) fn size_below_base_pointer(code: &[u8]) -> Option<u64> {
    const ENDBR64: &[u8] = &[0xf3, 0x0f, 0x1e, 0xfa];
    const PUSH_RBP_MOV_RBP_RSP: &[u8] = &[0x55, 0x48, 0x89, 0xe5];
    const PUSHED: u64 = 8;
    let code = code.strip_prefix(ENDBR64).unwrap_or(code);
    let mut code = code.strip_prefix(PUSH_RBP_MOV_RBP_RSP)?;
    let mut size = 0;
    loop {
        match code {
            // `push`
            [0x41, 0x50..=0x57, rest @ ..] | [0x50..=0x57, rest @ ..] => {
                size += PUSHED;
                code = rest;
            }
            // `and rsp`, `lea r11, [rsp - …]`, and `mov eax, …` before a call. One instruction does not tell the room then.
            [0x48, 0x83 | 0x81, 0xe4, ..]
            | [0x4c, 0x8d, 0x5c | 0x9c, 0x24, ..]
            | [0xb8, _, _, _, _, 0xe8 | 0xff, ..] => {
                return None;
            }
            // `sub rsp` of a page, before which a larger frame is touched
            [0x48, 0x81, 0xec, 0, 0x10, 0, 0, ..] => return None,
            // `sub rsp`
            [0x48, 0x83, 0xec, room, ..] if *room < 0x80 => return Some(size + u64::from(*room)),
            [0x48, 0x81, 0xec, a, b, c, d, ..] => {
                return Some(size + u64::from(u32::from_le_bytes([*a, *b, *c, *d])));
            }
            _ => return Some(size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushed_registers_and_room_are_counted_if_one_instruction_makes_the_room() {
        let start = [0x55, 0x48, 0x89, 0xe5];
        let size = |rest: &[u8]| size_below_base_pointer(&[&start, rest].concat());
        assert_eq!(size(&[]), Some(0));
        assert_eq!(size(&[0x41, 0x57, 0x53, 0x90]), Some(16));
        assert_eq!(size(&[0x53, 0x48, 0x83, 0xec, 0x28, 0x53]), Some(0x30));
        assert_eq!(size(&[0x48, 0x81, 0xec, 0, 1, 0, 0]), Some(0x100));
        assert_eq!(size(&[0x53, 0x48, 0x83, 0xe4, 0xc0]), None);
        assert_eq!(size(&[0x48, 0x81, 0xe4, 0, 0xff, 0xff, 0xff]), None);
        assert_eq!(
            size(&[0x53, 0x4c, 0x8d, 0x9c, 0x24, 0, 0x80, 0xff, 0xff]),
            None
        );
        assert_eq!(size(&[0x48, 0x81, 0xec, 0, 0x10, 0, 0, 0x48]), None);
        assert_eq!(size(&[0xb8, 0, 0x20, 0, 0, 0xe8]), None);
        assert_eq!(size(&[0xb8, 0xca, 0, 0, 0, 0x0f, 0x05]), Some(0));
        assert_eq!(size_below_base_pointer(&[0x48, 0x83, 0xec, 0x28]), None);
        assert_eq!(size_below_base_pointer(&[]), None);
    }
}
