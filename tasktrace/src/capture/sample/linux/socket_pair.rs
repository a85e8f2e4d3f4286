//! Copies memory through a pair of sockets, where the system has no better call.
//!
//! A pipe would be unsafe. A program may close descriptors that it does not know. Then a write to the pipe could end
//! the process with `SIGPIPE`, or change a file that has since got the same descriptor. `send` fails instead.

use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

/// Two sockets that are connected with each other. Between two copies, neither has unread bytes.
pub(super) struct SocketPair {
    sender: UnixStream,
    receiver: UnixStream,
}

impl SocketPair {
    /// Opens the sockets. Returns `None` if the system refuses.
    pub(super) fn open() -> Option<Self> {
        let (sender, receiver) = UnixStream::pair().ok()?;
        Some(Self { sender, receiver })
    }

    /// Copies the bytes at `start`, all of which are on one page. Returns `true` if the page is mapped and readable,
    /// and the system took all bytes. A signal handler may call this.
    pub(super) fn copy(&self, start: usize, to: &mut [u8]) -> bool {
        let from = std::ptr::without_provenance(start);
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        // SAFETY: `send` only reads the range, and fails with `EFAULT` where this process has no memory.
        let sent = unsafe { libc::send(self.sender.as_raw_fd(), from, to.len(), flags) };
        if sent < 0 {
            return false;
        }
        let (start, length) = (to.as_mut_ptr().cast(), to.len());
        // SAFETY: the range is that of `to`, which is mutably borrowed. Every bit pattern is a valid `u8`.
        let received = unsafe { libc::recv(self.receiver.as_raw_fd(), start, length, flags) };
        usize::try_from(received).is_ok_and(|received| received == length)
    }
}
