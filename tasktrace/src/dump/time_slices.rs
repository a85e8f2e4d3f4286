//! Distinguishes an executor that does not poll a task from a process that gets too little processor time.

use crate::os::time::Instant;
use std::time::Duration;

/// Counts the time slices in which a thread that waits for answers got the processor. An executor could have got the
/// processor in them as well.
pub(super) struct TimeSlices {
    begun: Instant,
    count: u32,
}

/// The shortest time that proves anything. An executor that has not polled for a shorter time may just be slow.
const LONG_ENOUGH: Duration = Duration::from_millis(500);

impl TimeSlices {
    /// The length of a time slice, for which the thread waits.
    pub(super) const LENGTH: Duration = Duration::from_millis(10);

    pub(super) fn start() -> Self {
        Self {
            begun: Instant::now(),
            count: 0,
        }
    }

    pub(super) fn count(&mut self) {
        self.count += 1;
    }

    /// Returns `true` if this thread has waited for [long enough](LONG_ENOUGH) and got the processor in at least half
    /// of its time slices. A running executor would have polled a ready task in that time.
    pub(super) fn prove_cpu_time(&self) -> bool {
        self.prove_cpu_time_within(self.begun.elapsed())
    }

    fn prove_cpu_time_within(&self, time: Duration) -> bool {
        time >= LONG_ENOUGH && Self::LENGTH * self.count.saturating_mul(2) >= time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_wait_with_half_of_its_time_slices_proves_cpu_time() {
        let slices = TimeSlices {
            begun: Instant::now(),
            count: 99,
        };
        assert!(!slices.prove_cpu_time_within(Duration::from_secs(2)));
        assert!(slices.prove_cpu_time_within(Duration::from_secs(1)));
        assert!(!slices.prove_cpu_time_within(Duration::from_millis(499)));
    }
}
