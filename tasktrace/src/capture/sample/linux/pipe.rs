//! Copies memory through a pipe, where the system has no better call.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// A pipe that is empty between two copies.
pub(super) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Pipe {
    /// Opens a pipe. Returns `None` if the process has no room for it.
    pub(super) fn open() -> Option<Self> {
        let mut ends = MaybeUninit::<[i32; 2]>::uninit();
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: `pipe2` writes two numbers to `ends`, which is valid for them, or fails.
        let result = unsafe { libc::pipe2(ends.as_mut_ptr().cast(), flags) };
        (result == 0).then(|| {
            // SAFETY: the call succeeded, so it has written two new descriptors, which nothing else owns.
            unsafe {
                let [reader, writer] = ends.assume_init();
                Self {
                    reader: OwnedFd::from_raw_fd(reader),
                    writer: OwnedFd::from_raw_fd(writer),
                }
            }
        })
    }

    /// Copies the bytes at `start`, all of which are on one page. Returns `true` if the page is mapped and readable. A
    /// signal handler may call this.
    pub(super) fn copy(&self, start: usize, to: &mut [u8]) -> bool {
        let from = std::ptr::without_provenance(start);
        // SAFETY: `write` only reads the range, and fails with `EFAULT` where this process has no memory.
        let written = unsafe { libc::write(self.writer.as_raw_fd(), from, to.len()) };
        // A page fits into an empty pipe, and the system writes that much at once. So either all was written or nothing.
        if !usize::try_from(written).is_ok_and(|written| written == to.len()) {
            return false;
        }
        // SAFETY: the range is that of `to`, which is mutably borrowed. Every bit pattern is a valid `u8`.
        let read = unsafe { libc::read(self.reader.as_raw_fd(), to.as_mut_ptr().cast(), to.len()) };
        read == written
    }
}
