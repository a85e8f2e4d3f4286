//! Time, on a machine that may be busy with something else.

use std::fs;
use std::time::{Duration, Instant};

/// Measures the time that passes for a thread, without the time in which it is ready to run, and
/// has to wait for a processor, where the system tells of that.
///
/// To be asked by the thread that has started it.
pub struct Stopwatch {
    start: Instant,
    delayed: Duration,
}

impl Stopwatch {
    /// Starts it.
    pub fn start() -> Self {
        // In this order, and below in the other: a delay between the two is counted as time.
        let start = Instant::now();
        Self {
            start,
            delayed: delayed(),
        }
    }

    /// The time since.
    pub fn elapsed(&self) -> Duration {
        let delayed = delayed() - self.delayed;
        self.start.elapsed().saturating_sub(delayed)
    }
}

/// How long this thread has waited for a processor.
fn delayed() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_ascii_whitespace().nth(1);
    Duration::from_nanos(nanos.and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

/// How long all threads of this process have been running.
pub fn busy() -> Duration {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// How long the processes that were started here, and have ended, have been running.
pub fn busy_children() -> Duration {
    // SAFETY: zeros are a value of this type.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a place for the answer.
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

/// The time on one of the system's clocks.
///
/// # Panics
///
/// If there is no such clock.
pub(crate) fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a place for the answer.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(failed, 0, "there is no such clock");
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
