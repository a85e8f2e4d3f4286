//! One task in a dump.

use std::borrow::Cow;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::task::{NoAnswer, TaskId, TaskState, TraceError};
use crate::trace::Trace;

/// One task in a [`Dump`](crate::Dump).
///
/// ```
/// for task in &tasktrace::snapshot() {
///     println!("task {} {}: {}", task.id(), task.name(), task.state());
///     println!("{}", task.trace());
/// }
/// ```
#[derive(Clone, Debug)]
pub struct TaskDump {
    pub(crate) id: TaskId,
    pub(crate) name: Cow<'static, str>,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) state: TaskState,
    pub(crate) age: Duration,
    pub(crate) last_polled: Option<Duration>,
    pub(crate) polls: u64,
    pub(crate) spawned_at: Option<&'static Location<'static>>,
    pub(crate) parent: Option<TaskId>,
    pub(crate) awaits: Vec<TaskId>,
    /// The rate of polls, if the task is polled very often.
    pub(crate) polls_per_second: Option<u64>,
    /// The wait for the next poll, of a task that is to be polled.
    pub(crate) unpolled: Option<Unpolled>,
    pub(crate) trace: Trace,
    pub(crate) source: Source,
}

/// A task was to be polled, and has not been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unpolled {
    /// The time since it was made, or since it was woken to answer.
    pub(crate) for_: Duration,
    /// Its executor could have polled it: other threads of the process got processor time meanwhile.
    pub(crate) is_proven: bool,
}

/// Where the trace of a task in a [`Dump`](crate::Dump) is from.
///
/// ```
/// use tasktrace::Source;
///
/// for task in &tasktrace::snapshot() {
///     match task.source() {
///         Source::Capture => println!("task {} was polled for this", task.id()),
///         Source::Snapshot { error: Some(error) } => println!("task {}: {error}", task.id()),
///         _ => println!("task {} was not asked", task.id()),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The task was polled for it, so it leads to the lines and the resources waited for.
    Capture,
    /// The task was in the middle of a poll. Its thread was interrupted for it, so it leads to what
    /// that was doing.
    Sample,
    /// Nothing was polled: it consists of the live frames.
    Snapshot {
        /// Why the task gave no answer, if it was asked.
        error: Option<TraceError>,
    },
}

impl TaskDump {
    /// The number of the task.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// for task in &dump {
    ///     assert!(dump.get(task.id()).is_some());
    /// }
    /// ```
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The path of the function that the task runs, or the name that it was given.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// let workers = dump.tasks().filter(|task| task.name().ends_with("::worker"));
    /// println!("{} workers", workers.count());
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells it from others with the same name: the label of `#[traced("…")]` or `spawn`.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// let connections = dump.tasks().filter_map(|task| task.label());
    /// println!("connected: {:?}", connections.collect::<Vec<_>>());
    /// ```
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// What it was doing.
    ///
    /// ```
    /// use tasktrace::TaskState;
    ///
    /// for task in &tasktrace::snapshot() {
    ///     if let TaskState::Running(running) = task.state() {
    ///         println!("task {} has been at it for {:?}", task.id(), running.duration());
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn state(&self) -> &TaskState {
        &self.state
    }

    /// How long ago it was made.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// println!("the oldest is {:?} old", dump.tasks().map(|task| task.age()).max());
    /// ```
    #[must_use]
    pub fn age(&self) -> Duration {
        self.age
    }

    /// How long ago its last poll ended, or began if it is still in it. `None` if it was never
    /// polled.
    ///
    /// A poll that was made to answer for this dump does not count.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let dump = tasktrace::snapshot();
    /// let is_old = |polled: Duration| polled > Duration::from_secs(60);
    /// let stuck = dump.tasks().filter(|task| task.last_polled().is_some_and(is_old));
    /// println!("{} tasks have not moved for a minute", stuck.count());
    /// ```
    #[must_use]
    pub fn last_polled(&self) -> Option<Duration> {
        self.last_polled
    }

    /// How often it has been polled.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// let polls: u64 = dump.tasks().map(|task| task.polls()).sum();
    /// println!("{polls} polls by all tasks");
    /// ```
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.polls
    }

    /// Returns the number of polls per second, if the task was polled very often while the
    /// [`dump`](crate::dump()) was taken.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// let busy = dump.tasks().filter(|task| task.polls_per_second() > Some(100_000));
    /// assert_eq!(busy.count(), 0, "a snapshot takes no time in which polls could be counted");
    /// ```
    #[must_use]
    pub fn polls_per_second(&self) -> Option<u64> {
        self.polls_per_second
    }

    /// The line that spawned it, if it was spawned by a function of this crate.
    ///
    /// ```
    /// for task in &tasktrace::snapshot() {
    ///     if let Some(location) = task.spawned_at() {
    ///         println!("task {} was spawned at {location}", task.id());
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.spawned_at
    }

    /// The task that spawned it, which need not be there any more.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// for task in &dump {
    ///     let parent = task.parent().and_then(|parent| dump.get(parent));
    ///     println!("task {} is of {:?}", task.id(), parent.map(|parent| parent.name()));
    /// }
    /// ```
    #[must_use]
    pub fn parent(&self) -> Option<TaskId> {
        self.parent
    }

    /// The tasks whose handles it awaits. [`Dump::by_awaiter`](crate::Dump::by_awaiter) shows the
    /// whole.
    ///
    /// ```
    /// for task in &tasktrace::snapshot() {
    ///     for awaited in task.awaits() {
    ///         println!("task {} awaits task {awaited}", task.id());
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn awaits(&self) -> &[TaskId] {
        &self.awaits
    }

    /// Where it waits.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// let locking = dump.tasks().filter(|task| task.trace().contains("Mutex::lock"));
    /// println!("{} tasks wait for a lock", locking.count());
    /// ```
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Where the trace is from.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// let asked = |task: &&tasktrace::TaskDump| *task.source() == tasktrace::Source::Capture;
    /// assert_eq!(dump.tasks().filter(asked).count(), 0, "a snapshot polls nothing");
    /// ```
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Returns `true` if it was asked, and its executor has not polled it.
    pub(crate) fn is_not_polled(&self) -> bool {
        let error = match &self.source {
            Source::Snapshot { error } => error.as_ref(),
            Source::Capture | Source::Sample => None,
        };
        let reason = NoAnswer::NotPolled;
        matches!(error, Some(TraceError::NoAnswer { reason: why, .. }) if *why == reason)
    }

    /// For how long it has been in its state, if that is known.
    pub(crate) fn in_state(&self) -> Option<Duration> {
        match &self.state {
            TaskState::NeverPolled => Some(self.age),
            TaskState::Running(running) => Some(running.duration()),
            TaskState::Suspended => self.last_polled,
            // By its last poll it may have been suspended for long, and woken just now.
            TaskState::Woken => self.unpolled.map(|unpolled| unpolled.for_),
            TaskState::Finished => None,
        }
    }
}
