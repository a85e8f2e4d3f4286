//! Takes profiles: adds up where tasks wait over many samples of all tasks.
//!
//! * [`builder`]: holds the settings; [`sampler`]: takes the samples.
//! * [`budget`]: decides when to sample; [`sample_size`]: how many tasks to read; [`selection`]: which tasks to read.
//! * [`tally`]: adds up the samples by address; [`stacks`]: merges the sums once symbols are known.
#![forbid(unsafe_code)]

mod budget;
mod builder;
mod sample_size;
mod sampler;
mod selection;
mod stacks;
mod tally;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

#[cfg(test)]
pub(crate) mod fixture;

pub use builder::{ProfileBuilder, profile};
pub(crate) use stacks::ProfileStack;
use tally::RawStack;

/// Shows where tasks waited over a period. [`profile`](crate::profile()) returns it.
///
/// A profile adds up tasks with the same name, the same state and the same stack, regardless of their labels. For each
/// stack it has
///
/// * the total time that tasks waited with it ([`Weight::Waited`](crate::Weight::Waited)): two tasks that wait for ten
///   seconds count as twenty seconds;
/// * the number of times that a task was seen with it ([`Weight::Tasks`](crate::Weight::Tasks)), which includes tasks
///   that were running and did not wait.
///
/// `{}` prints the stacks, the longest waits first. [`folded`](Self::folded) and [`json`](Self::json) return other
/// formats, as do `write_flamegraph` with the feature `flamegraph`, and `write_pprof` with the feature `pprof`.
///
/// Like a [`Dump`](crate::Dump), a profile consists of addresses until it is printed. As in any sampling profiler, a
/// sample stands for the time since the previous one: a task that waits now counts as waiting since then. Stacks that
/// were seen often are accurate on average, whether the waits are long or short. Stacks that were seen a few times are
/// not.
#[derive(Clone, Debug)]
pub struct Profile {
    began: SystemTime,
    /// The duration of the profile.
    lasted: Duration,
    /// The part of `lasted` that the samples stand for.
    sampled: Duration,
    every: Duration,
    source: ProfileSource,
    samples: u64,
    skipped: u64,
    cost: Duration,
    most_tasks: usize,
    /// The number of tasks that existed in all samples together.
    tasks_present: u64,
    /// The number of tasks that were read in all samples together.
    tasks_read: u64,
    raw_stacks: Arc<[RawStack]>,
    /// The stacks with symbols, looked up on first use.
    stacks: Arc<OnceLock<Vec<ProfileStack>>>,
}

/// The source of the samples of a [`Profile`].
///
/// ```
/// use std::time::Duration;
///
/// let profile = tasktrace::profile().lasting(Duration::from_millis(20)).run_blocking();
/// assert_eq!(profile.source(), tasktrace::ProfileSource::Snapshots);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProfileSource {
    /// Each sample reads the live frames and polls no task.
    Snapshots,
    /// Each sample captures the traces of the tasks, which polls each task once.
    Captures,
}

/// The progress of a profile that is being taken: see [`ProfileBuilder::on_sample`].
///
/// ```
/// use std::time::Duration;
///
/// tasktrace::profile()
///     .lasting(Duration::from_millis(50))
///     .on_sample(|progress| {
///         let part = progress.elapsed().as_secs_f64() / progress.lasting().as_secs_f64();
///         println!("{:.0} %, {} tasks", 100.0 * part, progress.tasks());
///     })
///     .run_blocking();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    elapsed: Duration,
    lasting: Duration,
    samples: u64,
    skipped: u64,
    tasks: usize,
    cost: Duration,
}

impl Progress {
    /// Returns the time since the profile began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Returns the duration that the profile will have.
    #[must_use]
    pub fn lasting(&self) -> Duration {
        self.lasting
    }

    /// Returns the number of samples taken so far.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Returns the number of samples skipped so far.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Returns the number of tasks in the last sample.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.tasks
    }

    /// Returns the cost of the samples so far, like [`Profile::cost`].
    #[must_use]
    pub fn cost(&self) -> Duration {
        self.cost
    }
}

impl Profile {
    /// Returns the stacks, the longest waits first.
    pub(crate) fn stacks(&self) -> &[ProfileStack] {
        self.stacks.get_or_init(|| stacks::merge(&self.raw_stacks))
    }

    /// Returns the number of samples taken.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let profile = tasktrace::profile().lasting(Duration::from_millis(50)).run_blocking();
    /// println!("{} of {}", profile.samples(), profile.samples() + profile.skipped());
    /// ```
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Returns the number of skipped samples. A sample that is due is skipped if it would cost too much, or if the
    /// thread has no processor.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Returns the CPU time that the samples took. If the system does not tell the CPU time, it is the elapsed time.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let profile = tasktrace::profile().lasting(Duration::from_millis(50)).run_blocking();
    /// let share = profile.cost().as_secs_f64() / profile.lasted().as_secs_f64();
    /// println!("{:.1} % of a core", 100.0 * share);
    /// ```
    #[must_use]
    pub fn cost(&self) -> Duration {
        self.cost
    }

    /// Returns the average fraction of the tasks that a sample read. 1.0 means all tasks.
    ///
    /// If there are so many tasks that reading all of them would cost too much, each sample reads a random selection.
    /// The times in the profile are extrapolated to all tasks.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let profile = tasktrace::profile().lasting(Duration::from_millis(50)).run_blocking();
    /// println!("{:.0} %", 100.0 * profile.portion());
    /// ```
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the fraction is approximate")]
    pub fn portion(&self) -> f64 {
        match self.tasks_present {
            0 => 1.0,
            tasks_present => self.tasks_read as f64 / tasks_present as f64,
        }
    }

    /// Returns the time at which the profile began.
    #[must_use]
    pub fn began(&self) -> SystemTime {
        self.began
    }

    /// Returns the duration of the profile.
    #[must_use]
    pub fn lasted(&self) -> Duration {
        self.lasted
    }

    /// Returns the part of the duration that the samples stand for, which ends with the last sample.
    pub(crate) fn sampled(&self) -> Duration {
        self.sampled
    }

    /// Returns the number of tasks that existed in all samples together.
    pub(crate) fn tasks_present(&self) -> u64 {
        self.tasks_present
    }

    /// Returns the number of tasks that were read in all samples together.
    pub(crate) fn tasks_read(&self) -> u64 {
        self.tasks_read
    }

    /// Returns the interval between samples.
    #[must_use]
    pub fn every(&self) -> Duration {
        self.every
    }

    /// Returns how the samples were taken.
    #[must_use]
    pub fn source(&self) -> ProfileSource {
        self.source
    }

    /// Returns the largest number of tasks that existed at the same time.
    #[must_use]
    pub fn most_tasks(&self) -> usize {
        self.most_tasks
    }

    /// Returns the total time that all tasks waited.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let profile = tasktrace::profile().lasting(Duration::from_millis(50)).run_blocking();
    /// let tasks = profile.waited().as_secs_f64() / profile.lasted().as_secs_f64();
    /// println!("on average, {tasks:.1} tasks were waiting");
    /// ```
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.raw_stacks.iter().map(|stack| stack.waited()).sum()
    }
}
