//! One task in a dump.

use std::borrow::Cow;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::task::{TaskId, TaskState, TraceError};
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
    pub(crate) trace: Trace,
    pub(crate) source: Source,
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

    /// For how long it has been in its state, if that is known.
    pub(crate) fn in_state(&self) -> Option<Duration> {
        match &self.state {
            TaskState::NeverPolled => Some(self.age),
            TaskState::Running(running) => Some(running.duration()),
            TaskState::Suspended | TaskState::Woken => self.last_polled,
            TaskState::Finished => None,
        }
    }
}
