//! Measures time on a machine that other programs may keep busy.

use std::fs;
use std::time::{Duration, Instant};

/// Measures the time that passes for a thread, without the time in which it is ready and waits for a processor, where
/// the system reports that.
///
/// Only the thread that has started a stopwatch may read it.
pub struct Stopwatch {
    start: Instant,
    delayed: Duration,
}

impl Stopwatch {
    /// Starts a stopwatch.
    pub fn start() -> Self {
        // The order is reversed in `elapsed`, so that a delay between the two reads counts as time.
        let start = Instant::now();
        Self {
            start,
            delayed: delayed(),
        }
    }

    /// Returns the time since the start.
    pub fn elapsed(&self) -> Duration {
        let delayed = delayed() - self.delayed;
        self.start.elapsed().saturating_sub(delayed)
    }
}

/// Returns the time for which this thread has waited for a processor.
fn delayed() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_ascii_whitespace().nth(1);
    Duration::from_nanos(nanos.and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

/// Returns the processor time of all threads of this process.
pub fn busy() -> Duration {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Returns the processor time of the child processes that have ended.
pub fn busy_children() -> Duration {
    // SAFETY: `rusage` consists of integers, for which zeros are a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a local, and therefore valid for writes.
    let failed = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    assert_eq!(failed, 0, "there is always an answer");
    [usage.ru_utime, usage.ru_stime]
        .map(|time| {
            let micros = u64::try_from(time.tv_usec).unwrap_or(0);
            Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(micros)
        })
        .iter()
        .sum()
}

/// Returns the time on one of the system's clocks.
///
/// # Panics
///
/// If there is no such clock.
pub(crate) fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a local, and therefore valid for writes.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(failed, 0, "there is no such clock");
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
