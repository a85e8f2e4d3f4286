//! Describes the stalls that a watchdog reports, as plain data.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::TaskDump;
use crate::inspect::Inspection;
use crate::task::TaskId;

/// Describes a task that makes no progress.
///
/// A [watchdog](crate::watchdog) reports a stall once when it begins and once when it ends.
///
/// * `{}` prints a line that names the problem, and below it where the task is.
/// * `{:#}` prints the whole stacks of the task.
///
/// ```
/// use tasktrace::{Stall, StallPhase};
///
/// # let mut blocked = 0;
/// let _watchdog = tasktrace::watchdog()
///     .on_stall(move |report| {
///         if (report.kind(), report.phase()) == (Stall::Blocked, StallPhase::Began) {
///             blocked += 1;
///             eprintln!("no. {blocked}: {report}");
///         }
///     })
///     .start();
/// ```
#[derive(Clone, Debug)]
pub struct StallReport {
    pub(crate) kind: Stall,
    pub(crate) phase: StallPhase,
    pub(crate) duration: Duration,
    pub(crate) limit: Duration,
    pub(crate) task: TaskDump,
    /// The overdue function, for [`Stall::Overdue`].
    pub(crate) function: Option<StalledFunction>,
    /// The task that blocks the thread of a starved task.
    pub(crate) blocked_by: Option<TaskId>,
    /// The number of untraced tasks that may be the cause of a stall that has begun.
    pub(crate) untraced: usize,
    /// The tasks that were read from memory when the stall began. `None` without the feature `inspect`, and for a blocked
    /// poll, which shows its own cause.
    pub(crate) inspected: Option<Arc<Inspection>>,
}

/// The kind of a stall.
///
/// ```
/// assert_eq!(tasktrace::Stall::Blocked.to_string(), "blocked");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stall {
    /// The task is in a poll that does not end. It computes, or it blocks its thread, and other tasks wait for that
    /// thread.
    Blocked,
    /// The task has been suspended for longer than
    /// [`WatchdogBuilder::wait_limit`](crate::WatchdogBuilder::wait_limit) allows, or a function in it for longer than
    /// its `#[traced(wait_limit = "…")]`.
    Overdue,
    /// The task was woken but is not polled. Its executor does not run, or has no free thread.
    Starved,
}

/// The phase of a stall: it has begun, or it has ended.
///
/// ```
/// # let report = |_: &tasktrace::StallReport| {};
/// let mut now = 0;
/// let _watchdog = tasktrace::watchdog()
///     .on_stall(move |report| {
///         match report.phase() {
///             tasktrace::StallPhase::Began => now += 1,
///             tasktrace::StallPhase::Ended => now -= 1,
///         }
///         println!("{now} tasks do not go on");
///     })
///     .start();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StallPhase {
    /// The stall has begun and continues.
    Began,
    /// The stall is over: a poll has ended or begun, or the task has ended.
    Ended,
}

/// A function that has been suspended for longer than its limit.
#[derive(Clone, Debug)]
pub(crate) struct StalledFunction {
    pub(crate) name: &'static str,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) file: &'static str,
    pub(crate) line: u32,
    /// `true` if the function is the task itself.
    pub(crate) is_task: bool,
}

impl StallReport {
    /// Returns the kind of the stall.
    #[must_use]
    pub fn kind(&self) -> Stall {
        self.kind
    }

    /// Returns the phase of the stall: it has begun, or it has ended.
    #[must_use]
    pub fn phase(&self) -> StallPhase {
        self.phase
    }

    /// Returns the duration of the stall. For a stall that has ended, it is too long by at most the time between two
    /// checks of the watchdog.
    ///
    /// A task may have been [starved](Stall::Starved) for longer: see [`watchdog`](crate::watchdog()).
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Returns the limit after which the watchdog reports such a stall.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Returns the task, as it was when the watchdog found the stall.
    #[must_use]
    pub fn task(&self) -> &TaskDump {
        &self.task
    }

    /// Returns the path or the given name of the [overdue](Stall::Overdue) function, and `None` for other kinds of
    /// stalls.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        self.function.as_ref().map(|function| function.name)
    }

    /// Returns the task that blocks the thread on which a [starved](Stall::Starved) task was last polled, if there is
    /// one.
    #[must_use]
    pub fn blocked_by(&self) -> Option<TaskId> {
        self.blocked_by
    }

    /// Returns the number of untraced tasks on the runtime of the task, if one of them may be the cause, and 0
    /// otherwise.
    ///
    /// An untraced task may be the cause if the stall has begun, and the task waits for something, or is starved while
    /// no traced task is known to block its thread.
    #[must_use]
    pub fn untraced(&self) -> usize {
        self.untraced
    }

    /// Returns what was read from the memory of this process when the stall began (feature `inspect`): tasks that are not
    /// traced, and who holds a lock.
    ///
    /// Returns `None` for a [blocked](Stall::Blocked) poll, and after the stall has ended. Reports of one scan share what
    /// was read.
    ///
    /// ```
    /// let _watchdog = tasktrace::watchdog()
    ///     .on_stall(|report| {
    ///         let inspection = report.inspected();
    ///         let untraced = inspection.map_or(0, |inspection| inspection.untraced().count());
    ///         eprintln!("{report}\n{untraced} tasks are not traced");
    ///     })
    ///     .start();
    /// ```
    #[cfg(feature = "inspect")]
    #[must_use]
    pub fn inspected(&self) -> Option<&Inspection> {
        self.inspected.as_deref()
    }
}

impl Stall {
    /// Returns the name that `Display` prints.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Overdue => "overdue",
            Self::Starved => "starved",
        }
    }
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
