//! Copies of memory that may not be there, for the signal handler.

pub(super) const PAGE: usize = 4096;

/// A part of the memory, as the system call has it: an `iovec`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Piece {
    start: usize,
    length: usize,
}

/// Copies what is mapped of the `length` bytes from `start` on. Returns how many those were.
///
/// Through the system, which tells where there is nothing. Of a piece that is not whole it need not copy
/// anything, so what is left of it is asked for page by page.
pub(super) fn copy(start: usize, length: usize, to: &mut [u8], pieces: &mut [Piece]) -> usize {
    let length = length.min(to.len());
    let whole = [Piece { start, length }];
    let copied = copy_pieces(&whole, &mut to[..length]);
    let (mut at, end) = (start.saturating_add(copied), start.saturating_add(length));
    let mut used = 0;
    for piece in &mut *pieces {
        if at >= end {
            break;
        }
        let next = (at / PAGE + 1).saturating_mul(PAGE).min(end);
        *piece = Piece {
            start: at,
            length: next - at,
        };
        at = next;
        used += 1;
    }
    match used {
        0 => copied,
        _ => copied + copy_pieces(&pieces[..used], &mut to[copied..length]),
    }
}

fn copy_pieces(pieces: &[Piece], to: &mut [u8]) -> usize {
    let room = libc::iovec {
        iov_base: to.as_mut_ptr().cast(),
        iov_len: to.len(),
    };
    // SAFETY: `room` describes `to`, which is borrowed for writing, and the system writes nothing beyond it. `pieces` are
    // as many as is said, each laid out as an `iovec`. Where there is no memory of this process, the call fails instead of
    // reading it.
    let copied = unsafe {
        libc::process_vm_readv(
            libc::getpid(),
            &raw const room,
            1,
            pieces.as_ptr().cast::<libc::iovec>(),
            pieces.len() as libc::c_ulong,
            0,
        )
    };
    usize::try_from(copied).unwrap_or(0)
}
