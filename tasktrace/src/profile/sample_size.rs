//! Decides how many tasks one sample reads, so that a single sample is not too expensive.
//!
//! If there are very many tasks, each sample reads some of them, which stand for all. Many samples of a few tasks say
//! more than one sample of all tasks. Besides, some executors cope badly if a hundred thousand tasks are woken at the
//! same time. This module reads no clock.

use std::time::Duration;

/// The number of tasks that each sample may read at any cost. The first sample reads no more, because the cost of a
/// task is not known yet.
const MIN_TASKS: usize = 16;

/// The interval for which a single sample is always affordable. If samples are due more often than this, a sample may
/// read as many tasks as if they were due at this interval, and [`Budget`](super::budget::Budget) skips some samples.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Estimates the number of tasks that a sample can afford to read.
#[derive(Debug)]
pub(super) struct SampleSize {
    /// The cost that one sample may have, in seconds.
    allowed: f64,
    /// The average cost of reading one task, in seconds. `None` before the first sample.
    cost_per_task: Option<f64>,
    /// The cost of listing the tasks in the last sample, in seconds.
    finding: f64,
}

impl SampleSize {
    pub(super) fn new(every: Duration, share: f64) -> Self {
        Self {
            allowed: every.max(MIN_INTERVAL).as_secs_f64() * share,
            cost_per_task: None,
            finding: 0.0,
        }
    }

    /// Returns the largest number of tasks that the next sample reads.
    pub(super) fn max_tasks(&self) -> usize {
        let Some(cost_per_task) = self.cost_per_task else {
            return MIN_TASKS;
        };
        // Reading the tasks may take as long as listing them: then it at most doubles the cost.
        let max_tasks = self.allowed.max(self.finding) / cost_per_task.max(1e-9);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates"
        )]
        let max_tasks = max_tasks as usize;
        max_tasks.max(MIN_TASKS)
    }

    /// Records the cost of a sample: that of listing all tasks, and that of reading a number of them.
    pub(super) fn record_cost(&mut self, finding: Duration, reading: Duration, tasks: usize) {
        self.finding = finding.as_secs_f64();
        if tasks == 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "the cost is an estimate")]
        let cost_per_task = reading.as_secs_f64() / tasks as f64;
        self.cost_per_task = Some(
            self.cost_per_task
                .map_or(cost_per_task, |known| f64::midpoint(known, cost_per_task)),
        );
    }

    /// Returns the expected cost of the next sample, if there are `tasks` tasks.
    #[expect(clippy::cast_precision_loss, reason = "the cost is an estimate")]
    pub(super) fn expected_cost(&self, tasks: usize) -> Duration {
        let reading = self.max_tasks().min(tasks) as f64 * self.cost_per_task.unwrap_or(0.0);
        Duration::try_from_secs_f64(self.finding + reading).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: f64 = 0.01;

    fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    fn max_tasks(every: Duration, finding: Duration, reading: Duration, tasks: usize) -> usize {
        let mut sample_size = SampleSize::new(every, SHARE);
        sample_size.record_cost(finding, reading, tasks);
        sample_size.max_tasks()
    }

    #[test]
    fn the_first_sample_reads_few_tasks() {
        assert_eq!(SampleSize::new(us(10_000), SHARE).max_tasks(), MIN_TASKS);
        assert_eq!(
            max_tasks(us(10_000), us(5), us(0), 0),
            MIN_TASKS,
            "a sample without tasks says nothing about their cost"
        );
    }

    #[test]
    fn a_sample_reads_as_many_tasks_as_it_can_afford() {
        // A hundredth of a tenth of a second is 1 ms, and a task costs 2 µs.
        assert_eq!(max_tasks(us(10_000), us(5), us(200), 100), 500);
        // A hundredth of two seconds is 20 ms.
        assert_eq!(max_tasks(us(2_000_000), us(5), us(200), 100), 10_000);
        // Listing the tasks takes 4 ms, so reading them may take 4 ms too.
        assert_eq!(max_tasks(us(10_000), us(4_000), us(200), 100), 2_000);
    }

    #[test]
    fn the_expected_cost_is_that_of_the_tasks_to_read() {
        let mut sample_size = SampleSize::new(us(10_000), SHARE);
        assert_eq!(sample_size.expected_cost(1000), us(0));
        sample_size.record_cost(us(5), us(64_000), 64);
        assert_eq!(sample_size.expected_cost(1000), us(16_005));
        assert_eq!(sample_size.expected_cost(2), us(2_005));
    }

    #[test]
    fn expensive_tasks_do_not_reduce_a_sample_below_the_minimum() {
        assert_eq!(max_tasks(us(10_000), us(5), us(1_000_000), 64), MIN_TASKS);
    }

    #[test]
    fn tasks_without_cost_are_all_read() {
        assert!(max_tasks(us(10_000), us(0), us(0), 64) > 100_000);
        let mut sample_size = SampleSize::new(Duration::MAX, 1e6);
        sample_size.record_cost(us(0), us(0), 1);
        assert!(sample_size.max_tasks() > 100_000);
    }
}
