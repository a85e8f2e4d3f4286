//! How many tasks to look at in one sample, so that it does not cost too much by itself.
//!
//! Where there are very many tasks, each sample looks at some of them, which stand for all: many samples
//! of a few say more than one of all, and there are executors that would not like a hundred thousand tasks
//! to be polled at once. Nothing here reads a clock.

use std::time::Duration;

/// The number of tasks that each sample looks at, however much it costs. The first looks at no more: what it costs is
/// not known before.
const FEWEST: usize = 16;

/// Where it is a matter of less, all tasks are looked at, and samples are taken less often.
const RARELY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Portion {
    /// What there is for one sample, in seconds.
    allowed: f64,
    /// What it costs to look at one task, in seconds.
    each: Option<f64>,
    /// What it costs to find out which tasks there are, in seconds.
    finding: f64,
}

impl Portion {
    pub(super) fn new(every: Duration, share: f64) -> Self {
        Self {
            allowed: every.max(RARELY).as_secs_f64() * share,
            each: None,
            finding: 0.0,
        }
    }

    /// How many tasks to look at, at most.
    pub(super) fn most(&self) -> usize {
        let Some(each) = self.each else {
            return FEWEST;
        };
        // Who has found them may as well look for as long.
        let most = self.allowed.max(self.finding) / each.max(1e-9);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates"
        )]
        let most = most as usize;
        most.max(FEWEST)
    }

    /// So much it has cost to find them, and to look at so many.
    pub(super) fn learn(&mut self, finding: Duration, looking: Duration, tasks: usize) {
        self.finding = finding.as_secs_f64();
        if tasks == 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "it is an estimate")]
        let each = looking.as_secs_f64() / tasks as f64;
        self.each = Some(self.each.map_or(each, |known| f64::midpoint(known, each)));
    }

    /// Returns what the next sample is expected to cost, if there are as many tasks as that.
    #[expect(clippy::cast_precision_loss, reason = "it is an estimate")]
    pub(super) fn expected(&self, tasks: usize) -> Duration {
        let looking = self.most().min(tasks) as f64 * self.each.unwrap_or(0.0);
        Duration::try_from_secs_f64(self.finding + looking).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: f64 = 0.01;

    fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    fn most(every: Duration, finding: Duration, looking: Duration, tasks: usize) -> usize {
        let mut portion = Portion::new(every, SHARE);
        portion.learn(finding, looking, tasks);
        portion.most()
    }

    #[test]
    fn few_at_first() {
        assert_eq!(Portion::new(us(10_000), SHARE).most(), FEWEST);
        assert_eq!(
            most(us(10_000), us(5), us(0), 0),
            FEWEST,
            "nothing was learnt"
        );
    }

    #[test]
    fn as_many_as_can_be_afforded() {
        // A hundredth of a tenth of a second, at 2 µs each.
        assert_eq!(most(us(10_000), us(5), us(200), 100), 500);
        // Of two seconds.
        assert_eq!(most(us(2_000_000), us(5), us(200), 100), 10_000);
        // It takes 4 ms to find them.
        assert_eq!(most(us(10_000), us(4_000), us(200), 100), 2_000);
    }

    #[test]
    fn the_next_costs_as_much_as_it_looks_at() {
        let mut portion = Portion::new(us(10_000), SHARE);
        assert_eq!(portion.expected(1000), us(0));
        portion.learn(us(5), us(64_000), 64);
        assert_eq!(portion.expected(1000), us(16_005));
        assert_eq!(portion.expected(2), us(2_005));
    }

    #[test]
    fn some_whatever_it_costs() {
        assert_eq!(most(us(10_000), us(5), us(1_000_000), 64), FEWEST);
    }

    #[test]
    fn what_costs_nothing() {
        assert!(most(us(10_000), us(0), us(0), 64) > 100_000);
        let mut portion = Portion::new(Duration::MAX, 1e6);
        portion.learn(us(0), us(0), 1);
        assert!(portion.most() > 100_000);
    }
}
