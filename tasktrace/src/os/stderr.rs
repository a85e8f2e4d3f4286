//! Writes text to standard error, without the lock of the standard library.
//!
//! The text reports a problem, and the thread that holds that lock may be part of the problem: it may wait for the
//! thread that writes the report.

use super::time::Instant;
use std::io::{self, ErrorKind, Write};
use std::thread;
use std::time::Duration;

/// The longest time to wait for a reader of a full pipe that does not block. A write to a pipe that blocks has no
/// limit.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// The time between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// Writes a text in one piece. If that fails, the text is lost, because the failure cannot be reported.
pub(crate) fn write(text: &str) {
    write_to(&mut RawStderr, text.as_bytes(), MAX_WAIT);
}

struct RawStderr;

impl Write for RawStderr {
    #[cfg(unix)]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // SAFETY: the pointer and the length are those of `bytes`, which `write` only reads.
        let written =
            unsafe { libc::write(libc::STDERR_FILENO, bytes.as_ptr().cast(), bytes.len()) };
        usize::try_from(written).map_err(|_| io::Error::last_os_error())
    }

    #[cfg(not(unix))]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_to(out: &mut impl Write, mut bytes: &[u8], max_wait: Duration) {
    let mut since = Instant::now();
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return,
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                since = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Another program with the same terminal or pipe may have made it non-blocking.
            Err(error) if error.kind() == ErrorKind::WouldBlock && since.elapsed() < max_wait => {
                thread::sleep(RETRY_INTERVAL);
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer that takes three bytes at a time, or returns the next of the given errors.
    struct SlowWriter {
        written: Vec<u8>,
        errors: Vec<Option<ErrorKind>>,
    }

    impl Write for SlowWriter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.errors.pop().flatten() {
                Some(error) => Err(error.into()),
                None => {
                    let written = bytes.len().min(3);
                    self.written.extend(&bytes[..written]);
                    Ok(written)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(errors: &[Option<ErrorKind>], max_wait: Duration) -> String {
        let mut out = SlowWriter {
            written: Vec::new(),
            errors: errors.iter().rev().copied().collect(),
        };
        write_to(&mut out, b"all of it", max_wait);
        String::from_utf8(out.written).expect("it is text")
    }

    #[test]
    fn short_writes_and_temporary_errors_are_retried() {
        let errors = [
            None,
            Some(ErrorKind::Interrupted),
            Some(ErrorKind::WouldBlock),
            None,
            Some(ErrorKind::WouldBlock),
        ];
        assert_eq!(written(&errors, Duration::MAX), "all of it");
    }

    #[test]
    fn other_errors_and_the_timeout_end_the_write() {
        let errors = [None, Some(ErrorKind::BrokenPipe)];
        assert_eq!(written(&errors, Duration::MAX), "all");
        let errors = [None, Some(ErrorKind::WouldBlock)];
        assert_eq!(written(&errors, Duration::ZERO), "all");
    }
}
