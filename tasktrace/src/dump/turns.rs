//! Tells an executor that does not poll a task from a process that gets too little processor time.

use std::time::{Duration, Instant};

/// Counts how often a thread that waits for answers got processor time: an executor could have had it as well.
pub(super) struct Turns {
    begun: Instant,
    count: u32,
}

/// An executor that has not polled for less may just be slow.
const LONG_ENOUGH: Duration = Duration::from_millis(500);

impl Turns {
    /// The time for which the thread waits in a turn.
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

    /// Returns `true` if this thread has waited for [long enough](LONG_ENOUGH), and had half of its turns. A runnable
    /// task would have been polled in that time.
    pub(super) fn are_enough(&self) -> bool {
        self.are_enough_for(self.begun.elapsed())
    }

    fn are_enough_for(&self, time: Duration) -> bool {
        time >= LONG_ENOUGH && Self::LENGTH * self.count.saturating_mul(2) >= time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_enough_if_it_is_long_and_there_were_turns() {
        let turns = Turns {
            begun: Instant::now(),
            count: 99,
        };
        assert!(!turns.are_enough_for(Duration::from_secs(2)));
        assert!(turns.are_enough_for(Duration::from_secs(1)));
        assert!(!turns.are_enough_for(Duration::from_millis(499)));
    }
}
