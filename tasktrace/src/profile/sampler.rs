//! Taking samples until the time is over.

use std::time::{Duration, Instant, SystemTime};

use super::budget::Budget;
use super::builder::Callback;
use super::choice;
use super::portion::Portion;
use super::tally::Tally;
use super::{Profile, ProfileSource, Progress};
use crate::capture::RecordingMeter;
use crate::dump::{Dump, dump_of, snapshot_of};
use crate::os;
use crate::task::TraceHandle;

/// So long tasks have to answer, at least.
const SHORTEST_PATIENCE: Duration = Duration::from_millis(50);

/// And at most.
const LONGEST_PATIENCE: Duration = Duration::from_secs(1);

/// What came of waiting.
pub(super) enum Outcome {
    GoOn,
    Stop,
}

pub(super) struct Sampler {
    pub(super) every: Duration,
    pub(super) lasting: Duration,
    pub(super) source: ProfileSource,
    pub(super) max_cpu: f64,
    pub(super) on_sample: Option<Callback>,
}

impl Sampler {
    /// Samples until the time is over, or `wait` says to stop.
    pub(super) fn run(mut self, mut wait: impl FnMut(Duration) -> Outcome) -> Profile {
        let began = SystemTime::now();
        let start = Instant::now();
        let mut budget = Budget::new(self.every, self.max_cpu);
        let mut portion = Portion::new(self.every, self.max_cpu);
        let mut tally = Tally::default();
        let mut samples = 0;
        let mut cost = Duration::ZERO;
        let mut last = Duration::ZERO;
        while let Some(at) = budget.next(start.elapsed(), self.lasting) {
            if let Outcome::Stop = wait(at.saturating_sub(start.elapsed())) {
                break;
            }
            let now = start.elapsed();
            let meter = Meter::start();
            let all = choice::find();
            let finding = meter.read();
            let choice = choice::choose(&all, portion.most(), samples);
            let dump = self.look(choice.tasks);
            tally.add(&dump, now.saturating_sub(last), choice.picked, choice.all);
            let (tasks, looked) = (choice.all, dump.len());
            drop((all, dump));
            let this = meter.read();
            portion.learn(finding, this.saturating_sub(finding), looked);
            last = now;
            cost += this;
            samples += 1;
            budget.spend(start.elapsed(), this, portion.expected(tasks));
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
        // What is left after the last of them.
        let rest = self.lasting.saturating_sub(start.elapsed());
        if !rest.is_zero() {
            wait(rest);
        }
        Profile {
            began,
            lasted: start.elapsed(),
            sampled: last,
            samples,
            skipped: budget.skipped(),
            cost,
            most_tasks: tally.most_tasks,
            present: tally.present,
            looks: tally.looks,
            groups: tally.finish().into(),
            ..self.nothing()
        }
    }

    /// A profile for which nothing was done.
    pub(super) fn nothing(&self) -> Profile {
        let due = self.lasting.as_nanos() / self.every.as_nanos().max(1);
        Profile {
            began: SystemTime::now(),
            lasted: Duration::ZERO,
            sampled: Duration::ZERO,
            every: self.every,
            source: self.source,
            samples: 0,
            skipped: u64::try_from(due).unwrap_or(u64::MAX),
            cost: Duration::ZERO,
            most_tasks: 0,
            present: 0,
            looks: 0,
            groups: Vec::new().into(),
            stacks: Default::default(),
        }
    }

    fn look(&self, tasks: Vec<TraceHandle>) -> Dump {
        let patience = self.every.clamp(SHORTEST_PATIENCE, LONGEST_PATIENCE);
        match self.source {
            ProfileSource::Snapshots => snapshot_of(&tasks),
            ProfileSource::Captures => dump_of(tasks, patience),
        }
    }
}

/// Measures what a sample costs.
struct Meter {
    /// Of this thread, where the system tells it.
    cpu: Option<Duration>,
    /// What recording stacks has cost all threads.
    recording: RecordingMeter,
    time: Instant,
}

impl Meter {
    fn start() -> Self {
        Self {
            cpu: os::thread::cpu_time(),
            recording: RecordingMeter::start(),
            time: Instant::now(),
        }
    }

    /// Where there is no telling what the thread has used, all the time that has passed counts: so it
    /// is rather too much.
    fn read(&self) -> Duration {
        let recording = self.recording.read();
        match (self.cpu, os::thread::cpu_time()) {
            (Some(before), Some(after)) => after.saturating_sub(before) + recording,
            _ => self.time.elapsed(),
        }
    }
}
