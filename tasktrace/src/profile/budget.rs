//! Decides when to take the next sample, so that all samples together cost no more than a share of the time.
//!
//! Samples are due at regular times. A sample is skipped if it is too expensive at that time, or if its time has
//! already passed. The next sample is taken at a later due time, so the times stay regular.
//!
//! The budget is a balance that grows with time. The cost of a sample is not known in advance, but it can be expected
//! from the cost of the last samples and the number of tasks that they read. A sample is taken once the balance covers
//! its expected cost. The balance is limited to the share of one second, so that a quiet minute is not followed by a
//! burst. So the total cost exceeds the share of the time at most by the unexpected cost of one sample.
//!
//! This module reads no clock.

use std::time::Duration;

/// The time for which an unused share is saved.
const MAX_SAVED_SECS: f64 = 1.0;

/// The budget of one profile. All times are relative to its beginning.
#[derive(Debug)]
pub(super) struct Budget {
    every: Duration,
    /// The part of the time that samples may cost.
    share: f64,
    /// The number of due times so far, whether their samples were taken or skipped.
    due: u64,
    skipped: u64,
    /// The cost that samples may have now, in seconds. It is negative after a sample that cost more than expected.
    balance: f64,
    /// The time at which `balance` was computed.
    balance_at: Duration,
    /// The expected cost of the next sample, in seconds.
    expected: f64,
}

impl Budget {
    pub(super) fn new(every: Duration, share: f64) -> Self {
        Self {
            every,
            share,
            due: 0,
            skipped: 0,
            balance: 0.0,
            balance_at: Duration::ZERO,
            expected: 0.0,
        }
    }

    /// Returns the time of the next sample. `None` if it is after the end.
    pub(super) fn next(&mut self, now: Duration, end: Duration) -> Option<Duration> {
        self.advance(now);
        let missing = (self.expected - self.balance).max(0.0);
        let affordable = Duration::try_from_secs_f64(missing / self.share).unwrap_or(Duration::MAX);
        let earliest = now.saturating_add(affordable);
        let nanos = self.every.as_nanos().max(1);
        let due = u64::try_from(earliest.as_nanos().div_ceil(nanos)).unwrap_or(u64::MAX);
        let due = due.max(self.due.saturating_add(1));
        let last = u64::try_from(end.as_nanos() / nanos).unwrap_or(u64::MAX);
        if due > last {
            self.skipped += last.saturating_sub(self.due);
            self.due = self.due.max(last);
            return None;
        }
        self.skipped += due.saturating_sub(self.due).saturating_sub(1);
        self.due = due;
        let at = u64::try_from(nanos * u128::from(due)).unwrap_or(u64::MAX);
        Some(Duration::from_nanos(at))
    }

    /// Subtracts the cost of a sample that was taken. `next` is the expected cost of another sample like it.
    pub(super) fn spend(&mut self, now: Duration, cost: Duration, next: Duration) {
        self.advance(now);
        self.balance -= cost.as_secs_f64();
        let next = next.as_secs_f64();
        self.expected = match self.expected {
            0.0 => next,
            expected => f64::midpoint(expected, next),
        };
    }

    /// Returns the number of samples that were due, but not taken.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Adds the share of the time that has passed to the balance.
    fn advance(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.balance_at).as_secs_f64();
        self.balance_at = self.balance_at.max(now);
        // The limit is at least the cost of one sample. Otherwise an expensive sample would never be taken.
        let most = (self.share * MAX_SAVED_SECS).max(self.expected);
        self.balance = (self.balance + self.share * passed).min(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: f64 = 0.01;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    /// The result of sampling with given costs.
    struct Run {
        taken: Vec<Duration>,
        spent: Duration,
        most_expensive: Duration,
        skipped: u64,
    }

    fn run(every: Duration, end: Duration, mut cost: impl FnMut(usize) -> Duration) -> Run {
        let mut budget = Budget::new(every, SHARE);
        let mut run = Run {
            taken: Vec::new(),
            spent: Duration::ZERO,
            most_expensive: Duration::ZERO,
            skipped: 0,
        };
        let mut now = Duration::ZERO;
        while let Some(at) = budget.next(now, end) {
            assert!(at >= now, "the next sample is not in the past");
            let cost = cost(run.taken.len());
            run.taken.push(at);
            run.spent += cost;
            run.most_expensive = run.most_expensive.max(cost);
            now = at + cost;
            budget.spend(now, cost, cost);
        }
        run.skipped = budget.skipped();
        run
    }

    /// Samples with given costs, and asserts that the total cost never exceeds the share by more than one sample.
    #[track_caller]
    fn check(every: Duration, end: Duration, cost: impl Fn(usize) -> Duration) -> Run {
        let run = run(every, end, &cost);
        let mut spent = Duration::ZERO;
        for (at, time) in run.taken.iter().enumerate() {
            spent += cost(at);
            let allowed = time.mul_f64(SHARE) + run.most_expensive;
            assert!(spent <= allowed, "{spent:?} by {time:?}");
        }
        let due = end.as_nanos() / every.as_nanos();
        let counted = run.taken.len() as u64 + run.skipped;
        assert_eq!(u128::from(counted), due, "each sample is taken or skipped");
        for time in &run.taken {
            assert_eq!(time.as_nanos() % every.as_nanos(), 0, "{time:?}");
        }
        run
    }

    #[test]
    fn affordable_samples_are_all_taken() {
        let run = check(ms(10), ms(10_000), |_| us(90));
        assert_eq!(run.taken.len(), 1000);
        assert_eq!(run.skipped, 0);
    }

    #[test]
    fn expensive_samples_are_taken_less_often() {
        let run = check(ms(10), ms(10_000), |_| ms(1));
        // A millisecond is one percent of a tenth of a second.
        assert!(
            (95..=101).contains(&run.taken.len()),
            "{:?}",
            run.taken.len()
        );
        assert!(run.spent <= ms(101), "{:?}", run.spent);
    }

    #[test]
    fn sampling_continues_after_an_expensive_first_sample() {
        let run = check(
            ms(10),
            ms(10_000),
            |at| if at == 0 { ms(20) } else { us(50) },
        );
        assert_eq!(run.taken[0], ms(10));
        // Two seconds pay for the first sample and for the expected cost of the second.
        assert!(run.taken[1] >= ms(2000), "{:?}", run.taken[1]);
        assert!(
            run.taken.len() > 100,
            "sampling continues: {}",
            run.taken.len()
        );
    }

    /// A first sample may read more tasks than later ones. Then the expected cost is lower than its own.
    #[test]
    fn an_expensive_sample_delays_cheaper_ones_only_by_its_own_cost() {
        let mut budget = Budget::new(ms(1), SHARE);
        assert_eq!(budget.next(ms(0), ms(2000)), Some(ms(1)));
        budget.spend(ms(5), ms(4), us(500));
        let second = budget.next(ms(5), ms(2000));
        assert!(second.is_some_and(|at| at <= ms(451)), "{second:?}");
    }

    #[test]
    fn changing_costs_stay_within_the_share() {
        check(ms(10), ms(60_000), |at| us([10, 4_000, 300, 1][at % 4]));
        check(ms(1), ms(5_000), |at| us(1 << (at % 16)));
        check(ms(100), ms(60_000), |at| ms(at as u64 % 50));
    }

    #[test]
    fn a_quiet_period_is_not_followed_by_a_burst() {
        // For half a minute samples cost nothing, and then very much.
        let costs = |at| if at < 3000 { us(0) } else { ms(5) };
        let run = check(ms(10), ms(60_000), costs);
        let expensive = &run.taken[3000..];
        let first_second = expensive[0] + ms(1000);
        let in_first_second = expensive.iter().filter(|at| **at <= first_second).count();
        assert!(in_first_second <= 4, "{in_first_second}");
    }

    #[test]
    fn a_sample_may_cost_more_than_the_share_of_one_second() {
        let run = check(ms(100), ms(100_000), |_| ms(30));
        assert!((30..=34).contains(&run.taken.len()), "{}", run.taken.len());
    }

    #[test]
    fn samples_whose_time_has_passed_are_skipped() {
        let mut budget = Budget::new(ms(10), SHARE);
        assert_eq!(budget.next(ms(0), ms(100)), Some(ms(10)));
        // The thread of the sampler had no processor in the meantime.
        budget.spend(ms(57), us(1), us(1));
        assert_eq!(budget.next(ms(57), ms(100)), Some(ms(60)));
        assert_eq!(budget.skipped(), 4);
        assert_eq!(budget.next(ms(60), ms(100)), Some(ms(70)));
        assert_eq!(budget.next(ms(250), ms(100)), None);
        assert_eq!(budget.skipped(), 7);
        assert_eq!(budget.next(ms(260), ms(100)), None);
        assert_eq!(budget.skipped(), 7, "skipped samples are counted once");
    }

    #[test]
    fn the_largest_values_do_not_overflow() {
        let mut budget = Budget::new(Duration::from_nanos(1), 1e6);
        assert!(budget.next(Duration::ZERO, Duration::MAX).is_some());
        budget.spend(Duration::MAX, Duration::MAX, Duration::MAX);
        budget.next(Duration::MAX, Duration::MAX);
    }
}
