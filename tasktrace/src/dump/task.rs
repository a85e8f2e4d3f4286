//! Describes one task in a dump.

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
    /// The polls per second, if the task is polled very often.
    pub(crate) polls_per_second: Option<u64>,
    /// The wait for the next poll, if the executor should poll the task.
    pub(crate) unpolled: Option<Unpolled>,
    pub(crate) trace: Trace,
    pub(crate) source: Source,
}

/// The wait of a task that should have been polled and was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unpolled {
    /// The time since the task was made, or since it was woken to answer.
    pub(crate) for_: Duration,
    /// `true` if the executor could have polled it, because the thread that waited for the answers got the processor in
    /// at least half of its time slices.
    pub(crate) is_proven: bool,
}

/// How the trace of a task in a [`Dump`](crate::Dump) was obtained.
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
    /// The task was polled for the trace, which shows lines and the resources that the task waits for.
    Capture,
    /// The task was in the middle of a poll. Its thread was interrupted for the trace, which shows what the thread was
    /// doing.
    Sample,
    /// The task was not polled. The trace consists of the live frames.
    Snapshot {
        /// The reason why the task did not answer, if it was asked.
        error: Option<TraceError>,
    },
}

impl TaskDump {
    /// Returns the number of the task.
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

    /// Returns the path of the function that the task runs, or the name that it was given.
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

    /// Returns the label of `#[traced("…")]`, or the name that `TaskBuilder` gave the task. It distinguishes tasks with
    /// the same [`name`](Self::name).
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

    /// Returns the label of the task. If it has none, returns the label of the function that it runs, which is known
    /// once that function has been suspended.
    pub(crate) fn own_label(&self) -> Option<&str> {
        let of_function = || {
            let function = self.trace().frames().first()?;
            (function.name() == self.name()).then(|| function.label())?
        };
        self.label().or_else(of_function)
    }

    /// Returns the state of the task.
    ///
    /// ```
    /// use tasktrace::TaskState;
    ///
    /// for task in &tasktrace::snapshot() {
    ///     if let TaskState::Running(running) = task.state() {
    ///         println!("task {} has been polling for {:?}", task.id(), running.duration());
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn state(&self) -> &TaskState {
        &self.state
    }

    /// Returns the time since the task was made.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// println!("the oldest is {:?} old", dump.tasks().map(|task| task.age()).max());
    /// ```
    #[must_use]
    pub fn age(&self) -> Duration {
        self.age
    }

    /// Returns the time since the last poll of the task began. Returns `None` if the task was never polled.
    ///
    /// The poll that answered this dump does not count.
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

    /// Returns the number of polls so far. Polls for captures do not count.
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

    /// Returns the location that spawned the task, if a function of this crate spawned it.
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

    /// Returns the task that spawned this one. It may have ended.
    ///
    /// ```
    /// let dump = tasktrace::snapshot();
    /// for task in &dump {
    ///     let parent = task.parent().and_then(|parent| dump.get(parent));
    ///     println!("task {} was spawned by {:?}", task.id(), parent.map(|parent| parent.name()));
    /// }
    /// ```
    #[must_use]
    pub fn parent(&self) -> Option<TaskId> {
        self.parent
    }

    /// Returns the tasks whose handles this task awaits. [`Dump::by_awaiter`](crate::Dump::by_awaiter) shows them for
    /// all tasks.
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

    /// Returns the trace, which shows where the task waits.
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

    /// Returns how the trace was obtained.
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

    /// Returns `true` if the task was asked and its executor did not poll it.
    pub(crate) fn is_not_polled(&self) -> bool {
        let error = match &self.source {
            Source::Snapshot { error } => error.as_ref(),
            Source::Capture | Source::Sample => None,
        };
        let reason = NoAnswer::NotPolled;
        matches!(error, Some(TraceError::NoAnswer { reason: why, .. }) if *why == reason)
    }

    /// Returns the time that the task has been in its state, if it is known.
    pub(crate) fn in_state(&self) -> Option<Duration> {
        match &self.state {
            TaskState::NeverPolled => Some(self.age),
            TaskState::Running(running) => Some(running.duration()),
            TaskState::Suspended => self.last_polled,
            // The last poll may be long ago although the wake is recent.
            TaskState::Woken => self.unpolled.map(|unpolled| unpolled.for_),
            TaskState::Finished => None,
        }
    }
}
