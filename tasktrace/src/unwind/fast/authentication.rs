//! Removes pointer authentication codes from return addresses.
//!
//! On aarch64, a function that is compiled with `-mbranch-protection=pac-ret` signs its return address before it saves
//! it: the upper bits of the saved word are a code. Libraries of many Linux distributions are compiled so.

/// Returns the address that a signed or an unsigned return address means.
#[cfg(target_arch = "aarch64")]
#[inline]
pub(super) fn strip(return_address: usize) -> usize {
    let stripped;
    // SAFETY: `hint #7` is `xpaclri`, which clears the code in `x30`. It accesses no memory, changes no other register
    // and no flag, and has one result for each value of `x30`, so the options hold. Processors without authentication
    // codes execute hints that they do not know as `nop`. `x30` is an operand, so the compiler saves its own value.
    unsafe {
        std::arch::asm!(
            "hint #7",
            inout("x30") return_address => stripped,
            options(nomem, nostack, preserves_flags, pure),
        );
    }
    stripped
}

/// Returns the address unchanged, because no return address is signed on this processor.
#[cfg(not(target_arch = "aarch64"))]
#[inline]
pub(super) fn strip(return_address: usize) -> usize {
    return_address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsigned_return_address_is_unchanged() {
        let address = an_unsigned_return_address_is_unchanged as fn() as usize;
        assert_eq!(strip(address), address);
        assert_eq!(strip(0), 0);
    }

    #[cfg(target_arch = "aarch64")]
    #[test]
    fn the_code_of_a_signed_return_address_is_removed() {
        let address = the_code_of_a_signed_return_address_is_removed as fn() as usize;
        let signed: usize;
        // SAFETY: `hint #25` is `paciasp`, which writes a code into `x30`, and depends on `x30` and the stack pointer.
        // It accesses no memory and changes no other register and no flag, so the options hold.
        unsafe {
            std::arch::asm!(
                "hint #25",
                inout("x30") address => signed,
                options(nomem, nostack, preserves_flags),
            );
        }
        // SAFETY: `getauxval` takes a number, and returns 0 for one that it does not know.
        let features = unsafe { libc::getauxval(libc::AT_HWCAP) };
        if features & libc::HWCAP_PACA != 0 {
            assert_ne!(signed, address, "the processor signs addresses");
        }
        assert_eq!(strip(signed), address);
    }
}
