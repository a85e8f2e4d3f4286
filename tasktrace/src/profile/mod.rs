//! Where time is waited, added up over many looks at all tasks.
//!
//! * [`builder`]: what to profile; [`sampler`]: doing it.
//! * [`budget`]: how often; [`portion`]: at how many tasks at a time; [`choice`]: at which.
//! * [`tally`]: adding up; [`stacks`]: the same, when symbols are known.
#![forbid(unsafe_code)]

mod budget;
mod builder;
mod choice;
mod portion;
mod sampler;
mod stacks;
mod tally;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

#[cfg(test)]
pub(crate) mod sample;

pub use builder::{ProfileBuilder, profile};
pub(crate) use stacks::Stack;
use tally::Group;

/// Where time was waited, over a while: what comes of [`profile`](crate::profile()).
///
/// Tasks with the same name, in the same state, with the same stack are added up, whatever their labels
/// are. Of each stack there is known
///
/// * for how long tasks have waited with it, all together ([`Weight::Waited`](crate::Weight::Waited)): two
///   tasks that wait for ten seconds are twenty seconds;
/// * how often one was seen with it ([`Weight::Tasks`](crate::Weight::Tasks)): so tasks that were running
///   are there as well, though they did not wait.
///
/// `{}` prints what there is, with the longest waits first. [`folded`](Self::folded) and
/// [`json`](Self::json) are for machines, as are `write_flamegraph` with the feature `flamegraph`, and
/// `write_pprof` with the feature `pprof`.
///
/// Like a [`Dump`](crate::Dump) it consists of addresses until it is printed. As with any sampling
/// profiler, a sample stands for the time since the last one: who is found waiting counts as waiting since
/// then. What is seen often is right on average, whether waits are long or short; what was seen a few
/// times says little.
#[derive(Clone, Debug)]
pub struct Profile {
    began: SystemTime,
    /// How long it took.
    lasted: Duration,
    /// How much of that the samples stand for.
    sampled: Duration,
    every: Duration,
    source: ProfileSource,
    samples: u64,
    skipped: u64,
    cost: Duration,
    most_tasks: usize,
    /// How many tasks were there in all samples, and at how many of them was looked.
    present: u64,
    looks: u64,
    groups: Arc<[Group]>,
    /// Looked up when somebody wants to see them.
    stacks: Arc<OnceLock<Vec<Stack>>>,
}

/// How the samples of a [`Profile`] are taken.
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
    /// The live frames are read. Nothing is polled.
    Snapshots,
    /// Each task is asked, and polled for it.
    Captures,
}

/// How far a profile has got.
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
    /// For how long samples have been taken.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// For how long they will be.
    #[must_use]
    pub fn lasting(&self) -> Duration {
        self.lasting
    }

    /// How many were taken.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// How many were due, but skipped.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// How many tasks there were in the last of them.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.tasks
    }

    /// What they have cost so far, as [`Profile::cost`].
    #[must_use]
    pub fn cost(&self) -> Duration {
        self.cost
    }
}

impl Profile {
    /// Those first where most time was waited.
    pub(crate) fn stacks(&self) -> &[Stack] {
        self.stacks.get_or_init(|| stacks::stacks(&self.groups))
    }

    /// How many samples were taken.
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

    /// How many were due, but skipped: they would have cost too much, or the thread had no processor.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// What the samples have cost: the time that processors have spent on them. Where the system does
    /// not tell that, the time that has passed.
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

    /// At which part of the tasks each sample has looked, on average: 1.0 is all. Where there are so many
    /// that it would cost too much to look at all of them at once, each sample looks at some, which are
    /// chosen by chance, and stand for all. Times are those of all tasks.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let profile = tasktrace::profile().lasting(Duration::from_millis(50)).run_blocking();
    /// println!("{:.0} %", 100.0 * profile.portion());
    /// ```
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "nobody needs so many digits")]
    pub fn portion(&self) -> f64 {
        match self.present {
            0 => 1.0,
            present => self.looks as f64 / present as f64,
        }
    }

    /// When it began.
    #[must_use]
    pub fn began(&self) -> SystemTime {
        self.began
    }

    /// How long it took.
    #[must_use]
    pub fn lasted(&self) -> Duration {
        self.lasted
    }

    /// The part of that which the samples stand for: until the last of them.
    pub(crate) fn sampled(&self) -> Duration {
        self.sampled
    }

    /// How many tasks were there in all samples.
    pub(crate) fn present(&self) -> u64 {
        self.present
    }

    /// How many of them were looked at.
    pub(crate) fn looks(&self) -> u64 {
        self.looks
    }

    /// How often samples were due.
    #[must_use]
    pub fn every(&self) -> Duration {
        self.every
    }

    /// How the samples were taken.
    #[must_use]
    pub fn source(&self) -> ProfileSource {
        self.source
    }

    /// The most tasks that were there at a time.
    #[must_use]
    pub fn most_tasks(&self) -> usize {
        self.most_tasks
    }

    /// For how long tasks have waited, all together.
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
        self.groups.iter().map(|group| group.waited()).sum()
    }
}
