//! Measures how much work is done: the steps of it where these are counted, else its processor time.
//!
//! `.ci/run steps` builds this workspace with a counter in each branch of the code, as reports on the
//! coverage of tests need them. The sum of the counters is the number of steps: the same on each
//! machine, however busy it is. All of our functions are counted, those of tomorrow as well, but not
//! those of other crates. Without counters it is the time that all threads of the process have taken,
//! so that much smaller factors than a quadratic one's have to be allowed for.

/// How growth is measured, and how much of it is right.
pub(crate) struct Scale {
    /// The larger input is so many times as large.
    pub(crate) times: usize,
    /// The larger input may take so many times as much. That is more than n log n takes.
    pub(crate) most: f64,
    /// Less is not worth comparing.
    pub(crate) least: u64,
    /// What is disturbed in one round, such as by a poll, is not in all.
    pub(crate) rounds: usize,
    pub(crate) unit: &'static str,
}

impl Scale {
    /// Of an input that has as many entries when it is `large`, the number that the small one has.
    pub(crate) fn small(&self, large: usize) -> usize {
        large / self.times
    }

    /// Returns `true` if the larger input took too much.
    pub(crate) fn is_exceeded(&self, small: u64, large: u64) -> bool {
        large > self.least && large as f64 > self.most * small as f64
    }
}

pub(crate) use counted::{SCALE, done};

/// Returns how much work `run` is, and its result.
pub(crate) fn of<T>(run: impl FnOnce() -> T) -> (u64, T) {
    let before = done();
    let result = run();
    (done() - before, result)
}

#[cfg(tasktrace_steps)]
mod counted {
    use super::Scale;

    /// Twice as much takes about twice as many steps, or somewhat more where the larger is less sorted.
    /// Quadratic would be four times.
    pub(crate) const SCALE: Scale = Scale {
        times: 2,
        most: 3.0,
        least: 1_000_000,
        rounds: 3,
        unit: "steps",
    };

    unsafe extern "C" {
        // Of the runtime of the compiler's coverage.
        fn __llvm_profile_begin_counters() -> *const u64;
        fn __llvm_profile_end_counters() -> *const u64;
    }

    /// Returns how many steps the process has done.
    pub(crate) fn done() -> u64 {
        // SAFETY: both functions only return the bounds of a section of the program.
        let (mut at, end) = unsafe {
            (
                __llvm_profile_begin_counters(),
                __llvm_profile_end_counters(),
            )
        };
        let mut sum = 0_u64;
        while at < end {
            // SAFETY: the section consists of aligned counters, which live as long as the program and
            // are valid whatever they are. Other threads may count meanwhile, without atomics, which
            // is how the compiler does it: a volatile read takes what is there.
            sum = sum.wrapping_add(unsafe { at.read_volatile() });
            at = at.wrapping_add(1);
        }
        sum
    }
}

#[cfg(not(tasktrace_steps))]
mod counted {
    use super::Scale;

    /// Eight times as much takes about eight times as long. Quadratic would be 64 times.
    pub(crate) const SCALE: Scale = Scale {
        times: 8,
        most: 28.0,
        least: 40_000_000,
        rounds: 3,
        unit: "nanoseconds",
    };

    /// Returns how many nanoseconds processors have worked for this process.
    pub(crate) fn done() -> u64 {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `time` is valid for writes, and the clock is one that every process has.
        let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
        assert_eq!(result, 0);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}
