//! Copies memory that may be unmapped, for the signal handler.

pub(super) const PAGE: usize = 4096;

/// A range of memory, laid out as the `iovec` of the system call.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(super) struct IoVec {
    start: usize,
    length: usize,
}

/// Copies up to `length` bytes from `start` on, and stops at the first unmapped byte. Returns the number of copied
/// bytes.
///
/// The copy goes through a system call, which fails at unmapped memory. The system may copy nothing of a range that is
/// partly unmapped, so a second call requests the rest page by page. `ranges` is a buffer for that call.
pub(super) fn copy(start: usize, length: usize, to: &mut [u8], ranges: &mut [IoVec]) -> usize {
    let length = length.min(to.len());
    let whole = [IoVec { start, length }];
    let copied = copy_ranges(&whole, &mut to[..length]);
    let (mut at, end) = (start.saturating_add(copied), start.saturating_add(length));
    let mut used = 0;
    for range in &mut *ranges {
        if at >= end {
            break;
        }
        let next = (at / PAGE + 1).saturating_mul(PAGE).min(end);
        *range = IoVec {
            start: at,
            length: next - at,
        };
        at = next;
        used += 1;
    }
    match used {
        0 => copied,
        _ => copied + copy_ranges(&ranges[..used], &mut to[copied..length]),
    }
}

fn copy_ranges(ranges: &[IoVec], to: &mut [u8]) -> usize {
    let target = libc::iovec {
        iov_base: to.as_mut_ptr().cast(),
        iov_len: to.len(),
    };
    // SAFETY: `target` describes `to`, which is mutably borrowed, and the system writes only within `target`. The call
    // gets the pointer and the length of `ranges`, whose elements are laid out as `iovec` (`repr(C)`). The call only
    // reads the ranges, and fails where this process has no memory.
    let copied = unsafe {
        libc::process_vm_readv(
            libc::getpid(),
            &raw const target,
            1,
            ranges.as_ptr().cast::<libc::iovec>(),
            ranges.len() as libc::c_ulong,
            0,
        )
    };
    usize::try_from(copied).unwrap_or(0)
}
