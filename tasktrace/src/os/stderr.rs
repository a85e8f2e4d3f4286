//! Text on the standard error output, whatever becomes of it.
//!
//! Without the lock of the standard library. What is told here is told when something is wrong, and
//! whoever has the lock may be a part of that: it may wait for the thread that wants to tell.

use std::io::{self, ErrorKind, Write};
use std::thread;
use std::time::{Duration, Instant};

/// For how long nobody may read what has been written.
///
/// Where the output does not block. Where it does, we are blocked.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long to wait between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// Writes it in one piece. If it cannot be written, then it is not: there is nobody to tell.
pub(crate) fn write(text: &str) {
    write_to(&mut Raw, text.as_bytes(), PATIENCE);
}

struct Raw;

impl Write for Raw {
    #[cfg(unix)]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // SAFETY: it reads at most so many bytes.
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

fn write_to(out: &mut impl Write, mut bytes: &[u8], patience: Duration) {
    let mut since = Instant::now();
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return,
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                since = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Another program that has the same terminal or pipe can have made it so.
            Err(error) if error.kind() == ErrorKind::WouldBlock && since.elapsed() < patience => {
                thread::sleep(PAUSE);
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes some bytes at a time, or does what it is told to.
    struct Slow {
        taken: Vec<u8>,
        answers: Vec<Option<ErrorKind>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.answers.pop().flatten() {
                Some(error) => Err(error.into()),
                None => {
                    let taken = bytes.len().min(3);
                    self.taken.extend(&bytes[..taken]);
                    Ok(taken)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(answers: &[Option<ErrorKind>], patience: Duration) -> String {
        let mut out = Slow {
            taken: Vec::new(),
            answers: answers.iter().rev().copied().collect(),
        };
        write_to(&mut out, b"all of it", patience);
        String::from_utf8(out.taken).expect("it is text")
    }

    #[test]
    fn it_is_written_piece_by_piece() {
        let answers = [
            None,
            Some(ErrorKind::Interrupted),
            Some(ErrorKind::WouldBlock),
            None,
            Some(ErrorKind::WouldBlock),
        ];
        assert_eq!(written(&answers, Duration::MAX), "all of it");
    }

    #[test]
    fn it_ends_when_there_is_nobody() {
        let answers = [None, Some(ErrorKind::BrokenPipe)];
        assert_eq!(written(&answers, Duration::MAX), "all");
        let answers = [None, Some(ErrorKind::WouldBlock)];
        assert_eq!(written(&answers, Duration::ZERO), "all");
    }
}
