//! What is interrupted goes on as if nothing had been.

use std::io::{Error, PipeReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use tasktrace_tests::sampled::{SHORT, Site, alone, is_sample};

use crate::support::{Poller, sample_often};

/// In a single call of the system.
#[test]
fn reading() {
    async fn reads(pipe: PipeReader) -> Result<u8, Error> {
        let mut byte = 0_u8;
        // SAFETY: it writes at most one byte to where there is one.
        match unsafe { libc::read(pipe.as_raw_fd(), (&raw mut byte).cast(), 1) } {
            1 => Ok(byte),
            _ => Err(Error::last_os_error()),
        }
    }
    let _alone = alone();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let poller = Poller::new(reads(reader));
    sample_often(poller.id(), 1000, |task| {
        task.trace().leaves()[0].name().ends_with("read")
    });
    writer.write_all(b"x").unwrap();
    assert_eq!(poller.join().unwrap(), b'x');
}

#[test]
fn sleeping() {
    const TIME: Duration = Duration::from_secs(1);

    async fn sleeps() -> Duration {
        let start = Instant::now();
        std::thread::sleep(TIME);
        start.elapsed()
    }
    let _alone = alone();
    let poller = Poller::new(sleeps());
    let mut samples = 0;
    while !poller.handle.is_finished() {
        let dump = tasktrace::dump_blocking(SHORT);
        samples += usize::from(dump.get(poller.id()).is_some_and(is_sample));
    }
    assert!(samples > 10, "{samples}");
    assert!(poller.join() >= TIME);
}

/// What the last system call has left is read later.
#[test]
fn errno() {
    async fn checks(site: Site) -> usize {
        let mut lost = 0;
        let mut number = 0;
        while !site.is_over() {
            number = number % 100 + 1;
            // SAFETY: it is the thread's own.
            unsafe { *libc::__errno_location() = number };
            for _ in 0..50 {
                std::hint::spin_loop();
            }
            // SAFETY: likewise.
            lost += usize::from(unsafe { *libc::__errno_location() } != number);
        }
        lost
    }
    let _alone = alone();
    let site = Site::default();
    let poller = Poller::new(checks(site.clone()));
    sample_often(poller.id(), 1000, |_| true);
    site.end();
    assert_eq!(poller.join(), 0);
}
