//! When to take the next sample, so that all of them together cost no more than a share of the time.
//!
//! Samples are due at regular times. One that cannot be afforded, or whose time has passed, is skipped,
//! and the next that is due is taken instead: so the times stay regular.
//!
//! What a sample will cost is not known before, but what the last ones did is, and at how many tasks they have
//! looked. It is paid for in advance, out of what the time so far allows. What was not used is saved up, but for no longer than
//! a second, so that a quiet minute is not followed by a burst. So the cost is never more than the share
//! of the time, but for what one sample costs more than was expected.
//!
//! Nothing here reads a clock.

use std::time::Duration;

/// For so long what was not used is saved.
const SAVED: f64 = 1.0;

/// Times are since the beginning.
#[derive(Debug)]
pub(super) struct Budget {
    every: Duration,
    /// The part of the time that samples may cost.
    share: f64,
    /// How many times at which one was due have passed.
    due: u64,
    skipped: u64,
    /// The cost that there is room for, in seconds. Negative after one that was not expected.
    room: f64,
    /// When that was.
    as_of: Duration,
    /// What the next is expected to cost, in seconds.
    expected: f64,
}

impl Budget {
    pub(super) fn new(every: Duration, share: f64) -> Self {
        Self {
            every,
            share,
            due: 0,
            skipped: 0,
            room: 0.0,
            as_of: Duration::ZERO,
            expected: 0.0,
        }
    }

    /// When to take the next sample. `None` if that is after the end.
    pub(super) fn next(&mut self, now: Duration, end: Duration) -> Option<Duration> {
        self.pass(now);
        let missing = (self.expected - self.room).max(0.0);
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

    /// A sample was taken. `next` is what one more is expected to cost, by what is known of this one.
    pub(super) fn spend(&mut self, now: Duration, cost: Duration, next: Duration) {
        self.pass(now);
        self.room -= cost.as_secs_f64();
        let next = next.as_secs_f64();
        self.expected = match self.expected {
            0.0 => next,
            expected => f64::midpoint(expected, next),
        };
    }

    /// How many samples were due, but not taken.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    fn pass(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.as_of).as_secs_f64();
        self.as_of = self.as_of.max(now);
        // One sample must fit, however little is saved.
        let most = (self.share * SAVED).max(self.expected);
        self.room = (self.room + self.share * passed).min(most);
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

    /// What came of sampling with these costs, one after the other.
    struct Run {
        taken: Vec<Duration>,
        spent: Duration,
        dearest: Duration,
        skipped: u64,
    }

    fn run(every: Duration, end: Duration, mut cost: impl FnMut(usize) -> Duration) -> Run {
        let mut budget = Budget::new(every, SHARE);
        let mut run = Run {
            taken: Vec::new(),
            spent: Duration::ZERO,
            dearest: Duration::ZERO,
            skipped: 0,
        };
        let mut now = Duration::ZERO;
        while let Some(at) = budget.next(now, end) {
            assert!(at >= now, "it is not in the past");
            let cost = cost(run.taken.len());
            run.taken.push(at);
            run.spent += cost;
            run.dearest = run.dearest.max(cost);
            now = at + cost;
            budget.spend(now, cost, cost);
        }
        run.skipped = budget.skipped();
        run
    }

    /// However the costs are, at each time they are within the share, but for one sample.
    #[track_caller]
    fn check(every: Duration, end: Duration, cost: impl Fn(usize) -> Duration) -> Run {
        let run = run(every, end, &cost);
        let mut spent = Duration::ZERO;
        for (at, time) in run.taken.iter().enumerate() {
            spent += cost(at);
            let allowed = time.mul_f64(SHARE) + run.dearest;
            assert!(spent <= allowed, "{spent:?} by {time:?}");
        }
        let due = end.as_nanos() / every.as_nanos();
        let told = run.taken.len() as u64 + run.skipped;
        assert_eq!(u128::from(told), due, "each is taken or skipped");
        for time in &run.taken {
            assert_eq!(time.as_nanos() % every.as_nanos(), 0, "{time:?}");
        }
        run
    }

    #[test]
    fn what_can_be_afforded_is_taken() {
        let run = check(ms(10), ms(10_000), |_| us(90));
        assert_eq!(run.taken.len(), 1000);
        assert_eq!(run.skipped, 0);
    }

    #[test]
    fn what_is_too_dear_is_taken_less_often() {
        let run = check(ms(10), ms(10_000), |_| ms(1));
        // A millisecond is one per cent of a tenth of a second.
        assert!(
            (95..=101).contains(&run.taken.len()),
            "{:?}",
            run.taken.len()
        );
        assert!(run.spent <= ms(101), "{:?}", run.spent);
    }

    #[test]
    fn the_first_may_be_the_dearest() {
        let run = check(
            ms(10),
            ms(10_000),
            |at| if at == 0 { ms(20) } else { us(50) },
        );
        assert_eq!(run.taken[0], ms(10));
        // Two seconds are paid for it, and for what the next is expected to cost.
        assert!(run.taken[1] >= ms(2000), "{:?}", run.taken[1]);
        assert!(
            run.taken.len() > 100,
            "then it goes on: {}",
            run.taken.len()
        );
    }

    /// The first looks at more tasks than the others will.
    #[test]
    fn a_dear_sample_does_not_delay_cheaper_ones() {
        let mut budget = Budget::new(ms(1), SHARE);
        assert_eq!(budget.next(ms(0), ms(2000)), Some(ms(1)));
        budget.spend(ms(5), ms(4), us(500));
        let second = budget.next(ms(5), ms(2000));
        assert!(second.is_some_and(|at| at <= ms(451)), "{second:?}");
    }

    #[test]
    fn costs_that_change() {
        check(ms(10), ms(60_000), |at| us([10, 4_000, 300, 1][at % 4]));
        check(ms(1), ms(5_000), |at| us(1 << (at % 16)));
        check(ms(100), ms(60_000), |at| ms(at as u64 % 50));
    }

    #[test]
    fn what_is_saved_is_no_burst() {
        // For half a minute it costs nothing, and then very much.
        let costs = |at| if at < 3000 { us(0) } else { ms(5) };
        let run = check(ms(10), ms(60_000), costs);
        let dear = &run.taken[3000..];
        let in_first_second = dear.iter().filter(|at| **at <= dear[0] + ms(1000)).count();
        assert!(in_first_second <= 4, "{in_first_second}");
    }

    #[test]
    fn what_costs_more_than_a_second_allows() {
        let run = check(ms(100), ms(100_000), |_| ms(30));
        assert!((30..=34).contains(&run.taken.len()), "{}", run.taken.len());
    }

    #[test]
    fn who_is_late_skips() {
        let mut budget = Budget::new(ms(10), SHARE);
        assert_eq!(budget.next(ms(0), ms(100)), Some(ms(10)));
        // The sampler was not run in the meantime.
        budget.spend(ms(57), us(1), us(1));
        assert_eq!(budget.next(ms(57), ms(100)), Some(ms(60)));
        assert_eq!(budget.skipped(), 4);
        assert_eq!(budget.next(ms(60), ms(100)), Some(ms(70)));
        assert_eq!(budget.next(ms(250), ms(100)), None);
        assert_eq!(budget.skipped(), 7);
        assert_eq!(budget.next(ms(260), ms(100)), None);
        assert_eq!(budget.skipped(), 7, "they are counted once");
    }

    #[test]
    fn nothing_is_too_much() {
        let mut budget = Budget::new(Duration::from_nanos(1), 1e6);
        assert!(budget.next(Duration::ZERO, Duration::MAX).is_some());
        budget.spend(Duration::MAX, Duration::MAX, Duration::MAX);
        budget.next(Duration::MAX, Duration::MAX);
    }
}
