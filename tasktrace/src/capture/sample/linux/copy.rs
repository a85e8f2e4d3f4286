//! Copies memory that may be unmapped, for the signal handler.
//!
//! The copy goes through `process_vm_readv`. Emulators lack that call, and filters of containers refuse it. There, the
//! handler asks the system before it reads a page whether it is mapped.

use std::ffi::c_int;
use std::io;

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
/// The call fails at unmapped memory. The system may copy nothing of a range that is
/// partly unmapped, so a second call requests the rest page by page. `ranges` is a buffer for that call.
///
/// # Safety
///
/// The contract of [`copy_pages`], which this function calls where the system lacks or refuses the call.
pub(super) unsafe fn copy(
    start: usize,
    length: usize,
    to: &mut [u8],
    ranges: &mut [IoVec],
) -> usize {
    let length = length.min(to.len());
    let whole = [IoVec { start, length }];
    let copied = match copy_ranges(&whole, &mut to[..length]) {
        Ok(copied) => copied,
        // SAFETY: `copy_pages` demands that no thread unmaps or writes to the range. The contract of this function
        // demands the same of the range from `start` on, and `length` has only become shorter.
        Err(error) if is_missing(&error) => return unsafe { copy_pages(start, &mut to[..length]) },
        Err(_) => 0,
    };
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
        _ => copied + copy_ranges(&ranges[..used], &mut to[copied..length]).unwrap_or(0),
    }
}

/// Returns `true` if the system does not have a call, or does not permit it.
fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOSYS | libc::EPERM | libc::EACCES)
    )
}

/// Copies the bytes from `start` on, page by page, and stops at the first unmapped page. Returns the number of copied
/// bytes.
///
/// # Safety
///
/// Until this function returns, no thread may unmap pages of this range, or write to bytes of it that are mapped.
pub(super) unsafe fn copy_pages(start: usize, to: &mut [u8]) -> usize {
    let mut copied = 0;
    while copied < to.len() {
        let Some(at) = start.checked_add(copied).filter(|at| is_mapped(*at)) else {
            break;
        };
        let end = to.len().min(copied + (PAGE - at % PAGE));
        let page = &mut to[copied..end];
        // SAFETY: these bytes are on the page that contains `at`, which was mapped and readable a moment ago. By the
        // contract it still is, and no thread writes to these bytes. They are not part of `page`, because that is
        // borrowed mutably. Every bit pattern is a valid `u8`.
        unsafe {
            let from = std::ptr::with_exposed_provenance::<u8>(at);
            from.copy_to_nonoverlapping(page.as_mut_ptr(), page.len());
        }
        copied = end;
    }
    copied
}

/// Returns `true` if the page of this address is mapped and readable.
fn is_mapped(address: usize) -> bool {
    const SET_SIZE: usize = size_of::<u64>();
    /// No operation on a set of signals has this number.
    const NO_OPERATION: c_int = -1;

    let set = std::ptr::without_provenance::<u64>(address & !(SET_SIZE - 1));
    let no_set = std::ptr::null_mut::<u64>();
    // SAFETY: the call gets the address of a set of signals, which is aligned to its size, so it is on the page of
    // `address`. The call reads it, and fails with `EFAULT` if it is not mapped. If it is, the call fails with `EINVAL`,
    // because there is no such operation. If the address is null, the call reads nothing, changes nothing, and succeeds.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            NO_OPERATION,
            set,
            no_set,
            SET_SIZE,
        )
    };
    result == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL)
}

fn copy_ranges(ranges: &[IoVec], to: &mut [u8]) -> io::Result<usize> {
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
    usize::try_from(copied).map_err(|_| io::Error::last_os_error())
}
