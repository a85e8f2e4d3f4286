//! Takes samples until the time is over.

use std::ops::ControlFlow;
use std::time::Duration;

use super::budget::Budget;
use super::builder::SampleCallback;
use super::sample_size::SampleSize;
use super::selection;
use super::tally::Tally;
use super::{Profile, ProfileSource, Progress};
use crate::capture::RecordingMeter;
use crate::dump::{Dump, dump_of, snapshot_of};
use crate::os;
use crate::os::time::Instant;
use crate::task::TraceHandle;

/// The shortest time that tasks have to answer a capture.
const MIN_PATIENCE: Duration = Duration::from_millis(50);

/// The longest time that tasks have to answer a capture.
const MAX_PATIENCE: Duration = Duration::from_secs(1);

/// Takes the samples of one profile, with the settings of the builder.
pub(super) struct Sampler {
    pub(super) every: Duration,
    pub(super) lasting: Duration,
    pub(super) source: ProfileSource,
    pub(super) max_cpu: f64,
    pub(super) on_sample: Option<SampleCallback>,
}

impl Sampler {
    /// Takes samples until the time is over or `wait` breaks. `wait` blocks for a duration.
    pub(super) fn run(mut self, mut wait: impl FnMut(Duration) -> ControlFlow<()>) -> Profile {
        let began = os::time::wall_clock();
        let start = Instant::now();
        let mut budget = Budget::new(self.every, self.max_cpu);
        let mut sample_size = SampleSize::new(self.every, self.max_cpu);
        let mut tally = Tally::default();
        let mut samples = 0;
        let mut cost = Duration::ZERO;
        let mut last = Duration::ZERO;
        while let Some(at) = budget.next(start.elapsed(), self.lasting) {
            if wait(at.saturating_sub(start.elapsed())).is_break() {
                break;
            }
            let now = start.elapsed();
            let meter = CostMeter::start();
            let all = selection::unfinished_tasks();
            let finding = meter.read();
            let selection = selection::select(&all, sample_size.max_tasks(), samples);
            let dump = self.take_sample(selection.tasks);
            let interval = now.saturating_sub(last);
            tally.add(&dump, interval, selection.selected_count, all.len());
            let (tasks, tasks_read) = (all.len(), dump.len());
            drop((all, dump));
            let sample_cost = meter.read();
            sample_size.record_cost(finding, sample_cost.saturating_sub(finding), tasks_read);
            last = now;
            cost += sample_cost;
            samples += 1;
            budget.spend(
                start.elapsed(),
                sample_cost,
                sample_size.expected_cost(tasks),
            );
            if let Some(callback) = &mut self.on_sample {
                callback(&Progress {
                    elapsed: now.min(self.lasting),
                    lasting: self.lasting,
                    samples,
                    skipped: budget.skipped(),
                    tasks,
                    cost,
                });
            }
        }
        // The profile lasts until its end, although the last sample is taken earlier.
        let rest = self.lasting.saturating_sub(start.elapsed());
        if !rest.is_zero() {
            let _ = wait(rest);
        }
        Profile {
            began,
            lasted: start.elapsed(),
            sampled: last,
            samples,
            skipped: budget.skipped(),
            cost,
            most_tasks: tally.most_tasks,
            tasks_present: tally.tasks_present,
            tasks_read: tally.tasks_read,
            raw_stacks: tally.finish().into(),
            ..self.empty_profile()
        }
    }

    /// Returns a profile without samples. All samples that are due count as skipped.
    pub(super) fn empty_profile(&self) -> Profile {
        let due = self.lasting.as_nanos() / self.every.as_nanos().max(1);
        Profile {
            began: os::time::wall_clock(),
            lasted: Duration::ZERO,
            sampled: Duration::ZERO,
            every: self.every,
            source: self.source,
            samples: 0,
            skipped: u64::try_from(due).unwrap_or(u64::MAX),
            cost: Duration::ZERO,
            most_tasks: 0,
            tasks_present: 0,
            tasks_read: 0,
            raw_stacks: Vec::new().into(),
            stacks: Default::default(),
        }
    }

    fn take_sample(&self, tasks: Vec<TraceHandle>) -> Dump {
        let patience = self.every.clamp(MIN_PATIENCE, MAX_PATIENCE);
        match self.source {
            ProfileSource::Snapshots => snapshot_of(&tasks),
            ProfileSource::Captures => dump_of(tasks, patience),
        }
    }
}

/// Measures the cost of a sample.
struct CostMeter {
    /// The CPU time of this thread at the start. `None` if the system does not tell it.
    cpu: Option<Duration>,
    /// Measures the time in which all threads recorded stacks for captures.
    recording: RecordingMeter,
    time: Instant,
}

impl CostMeter {
    fn start() -> Self {
        Self {
            cpu: os::thread::cpu_time(),
            recording: RecordingMeter::start(),
            time: Instant::now(),
        }
    }

    /// Returns the cost since the start.
    ///
    /// If the CPU time of the thread is unknown, the cost is the elapsed time, which is rather too much.
    fn read(&self) -> Duration {
        let recording = self.recording.read();
        match (self.cpu, os::thread::cpu_time()) {
            (Some(before), Some(after)) => after.saturating_sub(before) + recording,
            _ => self.time.elapsed(),
        }
    }
}
