//! What a watchdog reports: plain data.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::TaskDump;
use crate::task::TaskId;

/// A task that does not go on: what a [watchdog](crate::watchdog) reports once when it has found it,
/// and once more when it is over.
///
/// * `{}` prints a line that says what is wrong, and below where the task is.
/// * `{:#}` prints everything that is on its stacks.
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
    /// Of what is overdue.
    pub(crate) function: Option<StalledFunction>,
    /// Of what is starved.
    pub(crate) blocked_by: Option<TaskId>,
    /// The number of untraced tasks, one of which may be the cause of a stall that has begun.
    pub(crate) untraced: usize,
}

/// What is wrong with a task.
///
/// ```
/// assert_eq!(tasktrace::Stall::Blocked.to_string(), "blocked");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stall {
    /// It is in a poll that does not end: it computes, or it blocks its thread, and other tasks wait
    /// for that.
    Blocked,
    /// It has been suspended for longer than
    /// [`WatchdogBuilder::wait_limit`](crate::WatchdogBuilder::wait_limit) allows, or a function in it for
    /// longer than `#[traced(wait_limit = "…")]`.
    Overdue,
    /// It should be polled, and is not: its executor does not run, or has no thread that is free.
    Starved,
}

/// Whether a stall has begun or ended.
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
    /// It goes on.
    Began,
    /// It is over: the poll has ended, or there was one; or the task is gone.
    Ended,
}

/// A function that is overdue.
#[derive(Clone, Debug)]
pub(crate) struct StalledFunction {
    pub(crate) name: &'static str,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) file: &'static str,
    pub(crate) line: u32,
    /// Whether it is what the task consists of.
    pub(crate) is_task: bool,
}

impl StallReport {
    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> Stall {
        self.kind
    }

    /// Whether it has begun or ended.
    #[must_use]
    pub fn phase(&self) -> StallPhase {
        self.phase
    }

    /// For how long it has been so. When it has ended, up to the time between two looks of the
    /// watchdog too long.
    ///
    /// What is [starved](Stall::Starved) has been so for at least as long: see
    /// [`watchdog`](crate::watchdog()).
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// After how long it is reported.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// The task, as it was when the stall was found.
    #[must_use]
    pub fn task(&self) -> &TaskDump {
        &self.task
    }

    /// The path of the function that is [overdue](Stall::Overdue), or the name that it was given.
    /// `None` for other kinds.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        self.function.as_ref().map(|function| function.name)
    }

    /// The task that blocks the thread on which this one was last polled, if it is
    /// [starved](Stall::Starved) and one does.
    #[must_use]
    pub fn blocked_by(&self) -> Option<TaskId> {
        self.blocked_by
    }

    /// Returns how many tasks on the runtime of this one are not traced, when the stall begins and one of them may be
    /// the cause: where the task waits for something, or is starved and no traced task is known to block its thread.
    /// Otherwise 0.
    #[must_use]
    pub fn untraced(&self) -> usize {
        self.untraced
    }
}

impl Stall {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Overdue => "overdue",
            Self::Starved => "starved",
        }
    }
}

impl fmt::Display for Stall {
    /// `blocked`, `overdue`, `starved`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
