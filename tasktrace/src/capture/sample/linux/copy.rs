//! Copies memory that may be unmapped, for the signal handler.
//!
//! The copy goes through `process_vm_readv`. Emulators lack that call, and filters of containers refuse it. There, the
//! handler sends the memory through a pair of sockets. Either way the system reads the memory, and reports an
//! unmapped page as an error.

use std::io;

use super::socket_pair::SocketPair;

pub(super) const PAGE: usize = 4096;

/// A range of memory, laid out as the `iovec` of the system call.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(super) struct IoVec {
    start: usize,
    length: usize,
}

/// Returns `true` if this system has `process_vm_readv` and permits it.
pub(super) fn has_system_call() -> bool {
    let (from, mut to) = ([7_u8], [0]);
    let range = IoVec {
        start: from.as_ptr().expose_provenance(),
        length: from.len(),
    };
    copy_ranges(&[range], &mut to).is_ok()
}

/// Copies up to `length` bytes from `start` on, and stops at the first unmapped byte. Returns the number of copied
/// bytes. If there are sockets, copies through them instead of `process_vm_readv`.
///
/// `process_vm_readv` may copy nothing of a range that is partly unmapped, so a second call requests the rest page by
/// page. `ranges` is a buffer for that call.
pub(super) fn copy(
    start: usize,
    length: usize,
    to: &mut [u8],
    ranges: &mut [IoVec],
    sockets: Option<&SocketPair>,
) -> usize {
    let length = length.min(to.len());
    if let Some(sockets) = sockets {
        return copy_through(sockets, start, &mut to[..length]);
    }
    let whole = [IoVec { start, length }];
    let copied = copy_ranges(&whole, &mut to[..length]).unwrap_or(0);
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

/// Copies the bytes from `start` on, page by page, and stops at the first unmapped page. Returns the number of copied
/// bytes.
fn copy_through(sockets: &SocketPair, start: usize, to: &mut [u8]) -> usize {
    let mut copied = 0;
    while copied < to.len() {
        let Some(at) = start.checked_add(copied) else {
            break;
        };
        let end = to.len().min(copied + (PAGE - at % PAGE));
        if !sockets.copy(at, &mut to[copied..end]) {
            break;
        }
        copied = end;
    }
    copied
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
