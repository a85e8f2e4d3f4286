//! Decodes call instructions, to find functions that have ended with a tail call.
//!
//! A function that ends with a call may give up its frame to the called function. If `a` has called `b`, and `b` has
//! ended with a call of `c`, only `a` and `c` are on the stack. The call instruction in `a` still names `b`.

use crate::sync::LockedMap;
use crate::unwind::ReturnAddress;

/// The callees that were decoded so far, by the return address of the call.
static CALLEES: LockedMap<ReturnAddress, Option<usize>> = LockedMap::new();

/// Returns the start of the function that the call before `address` calls. Returns `None` if the call does not name the
/// function, because it goes through a pointer that is not constant.
pub(super) fn callee_of_call_before(address: ReturnAddress) -> Option<usize> {
    CALLEES.get(&address).unwrap_or_else(|| {
        let callee = decode(address.0);
        // If another thread has inserted the same callee, there is nothing to do.
        let _ = CALLEES.insert(address, callee);
        callee
    })
}

/// Reads the bytes at an address.
///
/// The code may have been unloaded since it was on the stack. A read through `/proc/self/mem` then fails with an error.
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn read<const N: usize>(address: usize) -> Option<[u8; N]> {
    use std::os::unix::fs::FileExt;

    let mut bytes = [0; N];
    let memory = std::fs::File::open("/proc/self/mem").ok()?;
    memory.read_exact_at(&mut bytes, address as u64).ok()?;
    Some(bytes)
}

#[cfg(all(
    not(target_os = "linux"),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn read<const N: usize>(_: usize) -> Option<[u8; N]> {
    None
}

/// Decodes the call that returns to `address`.
///
/// Calls differ in length, so the bytes before `address` may be those of another call, or of another instruction. If
/// such bytes look like one of these two calls, the decoded distance does not lead to an address in a program.
#[cfg(target_arch = "x86_64")]
fn decode(address: usize) -> Option<usize> {
    let [opcode @ .., d0, d1, d2, d3] = read::<6>(address.checked_sub(6)?)?;
    let distance = i32::from_le_bytes([d0, d1, d2, d3]) as isize;
    let target = address.checked_add_signed(distance)?;
    match opcode {
        // `call target`
        [_, 0xe8] => Some(target),
        // `call *target(%rip)`: goes through the table of functions that other objects have or may override.
        [0xff, 0x15] => Some(usize::from_le_bytes(read(target)?)),
        _ => None,
    }
}

/// Decodes the call that returns to `address`.
#[cfg(target_arch = "aarch64")]
fn decode(address: usize) -> Option<usize> {
    let call = address.checked_sub(4)?;
    let instruction = u32::from_le_bytes(read(call)?);
    // `bl` has a distance of 26 bits, in words.
    if instruction >> 26 != 0b10_0101 {
        return None;
    }
    // The shift to the left moves the sign of the distance to that of the word.
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
    fn the_callee_of_a_call_on_the_stack_is_decoded() {
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
            callee_of_call_before(ReturnAddress(caller))
        }

        let called_from_here = called();
        // The compiler could call the function through a pointer, but has no reason to.
        assert_eq!(
            called_from_here,
            Some(called as fn() -> Option<usize> as usize)
        );
    }

    #[test]
    fn unmapped_addresses_have_no_callee() {
        for address in [0, 1, 5, 4096, usize::MAX] {
            assert_eq!(callee_of_call_before(ReturnAddress(address)), None);
        }
    }
}
