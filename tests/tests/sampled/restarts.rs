//! Tests that an interrupted call returns as it would have without the interruption.

use std::io::{Error, PipeReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use tasktrace_tests::sampled::{SHORT, Site, alone, is_sample};

use crate::support::{Poller, affordable, sample_often};

/// The read is a single system call.
#[test]
fn a_read_is_not_interrupted_by_samples() {
    async fn reads(pipe: PipeReader) -> Result<u8, Error> {
        let mut byte = 0_u8;
        // SAFETY: the call writes at most one byte, to a variable that is valid for writes.
        match unsafe { libc::read(pipe.as_raw_fd(), (&raw mut byte).cast(), 1) } {
            1 => Ok(byte),
            _ => Err(Error::last_os_error()),
        }
    }
    let _alone = alone();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let poller = Poller::new(reads(reader));
    sample_often(poller.id(), affordable(1000), |task| {
        task.trace().leaves()[0].name().ends_with("read")
    });
    writer.write_all(b"x").unwrap();
    assert_eq!(poller.join().unwrap(), b'x');
}

#[test]
fn a_sleep_is_not_shortened_by_samples() {
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

/// A program may read `errno` some time after the system call that set it.
#[test]
fn samples_do_not_change_errno() {
    async fn checks(site: Site) -> usize {
        let mut lost = 0;
        let mut number = 0;
        while !site.is_over() {
            number = number % 100 + 1;
            // SAFETY: the function returns a pointer to the `errno` of this thread, which is valid as long as the
            // thread runs.
            unsafe { *libc::__errno_location() = number };
            for _ in 0..50 {
                std::hint::spin_loop();
            }
            // SAFETY: as above, the pointer is to the `errno` of this thread.
            lost += usize::from(unsafe { *libc::__errno_location() } != number);
        }
        lost
    }
    let _alone = alone();
    let site = Site::default();
    let poller = Poller::new(checks(site.clone()));
    sample_often(poller.id(), affordable(1000), |_| true);
    site.end();
    assert_eq!(poller.join(), 0);
}
