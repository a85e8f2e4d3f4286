//! Which function a call was of, read from the call.
//!
//! A function that ends with a call may give up its frame to it. Where `a` has called `b`, and `b`
//! has ended by calling `c`, only `a` and `c` are on the stack. The instruction in `a` still says
//! that it was `b`.

use crate::sync::Map;
use crate::unwind::ReturnAddress;

/// What is known of each call so far.
static CALLEES: Map<ReturnAddress, Option<usize>> = Map::new();

/// The start of the function that the call before `address` is of, if the call names it: one
/// through a pointer that is not a constant does not.
pub(super) fn of_call_before(address: ReturnAddress) -> Option<usize> {
    CALLEES.get(&address).unwrap_or_else(|| {
        let callee = decode(address.0);
        // Another thread has found the same.
        let _ = CALLEES.insert(address, callee);
        callee
    })
}

/// The bytes at an address.
///
/// The code may have been unloaded since it was on the stack. Reading it through the file cannot
/// fail but with an error.
#[cfg(target_os = "linux")]
fn read<const N: usize>(address: usize) -> Option<[u8; N]> {
    use std::os::unix::fs::FileExt;

    let mut bytes = [0; N];
    let memory = std::fs::File::open("/proc/self/mem").ok()?;
    memory.read_exact_at(&mut bytes, address as u64).ok()?;
    Some(bytes)
}

#[cfg(not(target_os = "linux"))]
fn read<const N: usize>(_: usize) -> Option<[u8; N]> {
    None
}

/// What the call that returns to `address` is of.
///
/// Calls differ in length. What other calls have in the place of the bytes that are looked for, and
/// which is not theirs, makes no distance that stays within a program.
#[cfg(target_arch = "x86_64")]
fn decode(address: usize) -> Option<usize> {
    let [opcode @ .., d0, d1, d2, d3] = read::<6>(address.checked_sub(6)?)?;
    let distance = i32::from_le_bytes([d0, d1, d2, d3]) as isize;
    let target = address.checked_add_signed(distance)?;
    match opcode {
        // call target
        [_, 0xe8] => Some(target),
        // call *target(%rip): through the table of what other objects have, or could have had.
        [0xff, 0x15] => Some(usize::from_le_bytes(read(target)?)),
        _ => None,
    }
}

/// What the call that returns to `address` is of.
#[cfg(target_arch = "aarch64")]
fn decode(address: usize) -> Option<usize> {
    let call = address.checked_sub(4)?;
    let instruction = u32::from_le_bytes(read(call)?);
    // bl, with a distance of 26 bits in words
    if instruction >> 26 != 0b10_0101 {
        return None;
    }
    // Shifted to the left, the sign is where it belongs.
    let distance = (instruction << 6).cast_signed() >> 4;
    call.checked_add_signed(distance as isize)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn decode(_: usize) -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    fn the_function_that_was_called() {
        #[inline(never)]
        fn called() -> Option<usize> {
            let mut frames = Vec::new();
            backtrace::trace(|frame| {
                frames.push((frame.ip().addr(), frame.symbol_address().addr()));
                frames.len() < 16
            });
            let called = called as fn() -> Option<usize>;
            let at = frames
                .iter()
                .position(|(_, start)| *start == called as usize)?;
            let (caller, _) = *frames.get(at + 1)?;
            of_call_before(ReturnAddress(caller))
        }

        let called_from_here = called();
        // The compiler is free to call it in other ways, but has no reason to.
        assert_eq!(
            called_from_here,
            Some(called as fn() -> Option<usize> as usize)
        );
    }

    #[test]
    fn what_is_not_there_is_not_read() {
        for address in [0, 1, 5, 4096, usize::MAX] {
            assert_eq!(of_call_before(ReturnAddress(address)), None);
        }
    }
}
