//! Measures work: in steps where the build counts them, else in processor time.
//!
//! `.ci/run steps` builds this workspace with the counter in each branch of the code that coverage reports need. The
//! sum of the counters is the number of steps: the same on each machine, however busy it is. Steps count all functions
//! of the workspace, and none of other crates. Without counters, work is the processor time of all threads of the
//! process, and the limits must allow for noise.

/// The parameters of a growth test.
pub(crate) struct Scale {
    /// The ratio of the large input to the small one.
    pub(crate) times: usize,
    /// The largest allowed ratio of the work. It is more than n log n work has.
    pub(crate) most: f64,
    /// The smallest work that is compared.
    pub(crate) least: u64,
    /// The number of rounds: a failure must occur in each, because other work, such as a poll, may disturb a single
    /// one.
    pub(crate) rounds: usize,
    pub(crate) unit: &'static str,
}

impl Scale {
    /// Returns the number of entries of the small input if the large one has `large`.
    pub(crate) fn small(&self, large: usize) -> usize {
        large / self.times
    }

    /// Returns `true` if the work for the large input has grown too much.
    pub(crate) fn is_exceeded(&self, small: u64, large: u64) -> bool {
        large > self.least && large as f64 > self.most * small as f64
    }
}

pub(crate) use counted::{SCALE, done};

/// Calls `run`, and returns its work and its result.
pub(crate) fn of<T>(run: impl FnOnce() -> T) -> (u64, T) {
    let before = done();
    let result = run();
    (done() - before, result)
}

#[cfg(tasktrace_steps)]
mod counted {
    use super::Scale;

    /// A twice as large input takes about twice as many steps, or somewhat more where it is less sorted. Quadratic work
    /// would take four times as many.
    pub(crate) const SCALE: Scale = Scale {
        times: 2,
        most: 3.0,
        least: 1_000_000,
        rounds: 3,
        unit: "steps",
    };

    unsafe extern "C" {
        // Functions of the compiler's coverage runtime.
        fn __llvm_profile_begin_counters() -> *const u64;
        fn __llvm_profile_end_counters() -> *const u64;
    }

    /// Returns the number of steps that the process has done.
    pub(crate) fn done() -> u64 {
        // SAFETY: both functions take nothing, and only return the bounds of a section of the program.
        let (mut at, end) = unsafe {
            (
                __llvm_profile_begin_counters(),
                __llvm_profile_end_counters(),
            )
        };
        let mut sum = 0_u64;
        while at < end {
            // SAFETY: the section consists of aligned counters that live as long as the program, and every bit pattern
            // is a valid counter. Other threads may count meanwhile, without atomics, as the compiler's instrumentation
            // does: a volatile read takes the value that is there.
            sum = sum.wrapping_add(unsafe { at.read_volatile() });
            at = at.wrapping_add(1);
        }
        sum
    }
}

#[cfg(not(tasktrace_steps))]
mod counted {
    use super::Scale;

    /// An eight times as large input takes about eight times as long. Quadratic work would take 64 times as long.
    pub(crate) const SCALE: Scale = Scale {
        times: 8,
        most: 28.0,
        least: 40_000_000,
        rounds: 3,
        unit: "nanoseconds",
    };

    /// Returns the processor time of this process in nanoseconds.
    pub(crate) fn done() -> u64 {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `time` is a local and therefore valid for writes, and every process has this clock.
        let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
        assert_eq!(result, 0);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}
