//! Describes a stall of a task, and checks if it continues.

use std::time::Duration;

use crate::dump::{self, Stall, StallPhase, StallReport, StalledFunction, Unpolled};
use crate::origin::Origin;
use crate::task::{
    CoarseInstant, ExecutorId, Observation, TaskId, TaskState, TraceHandle, WaitLimit,
};

/// The problem of a task.
#[derive(Clone, Debug)]
pub(super) enum Problem {
    /// The task has been in this poll since then.
    Blocked { poll: u32, since: CoarseInstant },
    /// A function of the task waits for longer than its limit.
    Overdue(WaitLimit),
    /// The task has waited since then.
    Waiting {
        since: CoarseInstant,
        origin: Origin,
    },
    /// The task should have been polled since then, and still has this number of polls.
    Starved {
        polls: u64,
        since: CoarseInstant,
        executor: ExecutorId,
    },
}

/// A task with a problem or a suspected problem. The reference to the task keeps its header from being reused.
#[derive(Clone)]
pub(super) struct TaskProblem {
    pub(super) handle: TraceHandle,
    pub(super) problem: Problem,
}

/// The identity of a stall among all current stalls: the address of the task header, the kind and the function.
pub(super) type IncidentKey = (usize, Stall, u64);

/// The function in the [`IncidentKey`] of a task that waits too long as a whole.
pub(super) const WHOLE_TASK: u64 = u64::MAX;

impl TaskProblem {
    pub(super) fn key(&self) -> IncidentKey {
        let function = match &self.problem {
            Problem::Overdue(function) => function.key,
            Problem::Waiting { .. } => WHOLE_TASK,
            Problem::Blocked { .. } | Problem::Starved { .. } => 0,
        };
        (self.handle.address(), self.kind(), function)
    }

    /// Returns the order in which stalls are reported.
    pub(super) fn order(&self) -> (Stall, TaskId, u64) {
        let (_, kind, function) = self.key();
        (kind, self.handle.id(), function)
    }

    pub(super) fn kind(&self) -> Stall {
        match self.problem {
            Problem::Blocked { .. } => Stall::Blocked,
            Problem::Overdue(_) | Problem::Waiting { .. } => Stall::Overdue,
            Problem::Starved { .. } => Stall::Starved,
        }
    }

    /// Returns the thread that the task blocks, if it is known.
    pub(super) fn blocked_thread(&self) -> Option<u32> {
        let thread = self.handle.executor().thread;
        (self.kind() == Stall::Blocked && thread != 0).then_some(thread)
    }

    pub(super) fn since(&self) -> CoarseInstant {
        match &self.problem {
            Problem::Blocked { since, .. }
            | Problem::Starved { since, .. }
            | Problem::Waiting { since, .. } => *since,
            Problem::Overdue(function) => function.polled,
        }
    }

    /// Returns `true` if the stall continues: the same poll goes on, or there was no poll. If this is not known, it
    /// returns `true`.
    pub(super) fn continues(&self) -> bool {
        match &self.problem {
            Problem::Blocked { poll, .. } => {
                let observation = self.handle.observe();
                matches!(observation, Observation::Running { poll: now, .. } if now == *poll)
            }
            // A capture poll does not change the time, and the current poll may be a capture poll.
            Problem::Waiting { since, .. } => match self.handle.observe() {
                Observation::Suspended { since: now, .. } => now == *since,
                Observation::Running { .. } | Observation::Panicked => true,
                Observation::New { .. } | Observation::Finished => false,
            },
            Problem::Starved { polls, .. } => {
                self.handle.all_polls() == *polls && !self.handle.is_finished()
            }
            Problem::Overdue(function) => {
                let is_it =
                    |now: &WaitLimit| now.key == function.key && now.polled == function.polled;
                match self.handle.wait_limits() {
                    _ if self.handle.is_finished() => false,
                    Some(limited) => limited.iter().any(is_it),
                    None => true,
                }
            }
        }
    }

    /// Returns the report that the stall has begun. The task has `budget` to answer.
    pub(super) fn report(
        &self,
        limit: Duration,
        blocked_by: Option<TaskId>,
        budget: Duration,
    ) -> StallReport {
        let mut task = match self.problem {
            // The executor is probably fine, so the task can answer.
            Problem::Overdue(_) | Problem::Waiting { .. } if !budget.is_zero() => {
                dump::dump_task(&self.handle, budget)
            }
            _ => dump::sample_or_snapshot(&self.handle, budget),
        };
        if self.kind() == Stall::Starved {
            if task.state == TaskState::Suspended {
                // The probe has woken it.
                task.state = TaskState::Woken;
            }
            // The stall was checked twice, so it is proven.
            task.unpolled = Some(Unpolled {
                for_: self.since().elapsed(),
                is_proven: true,
            });
        }
        let function = match &self.problem {
            Problem::Overdue(function) => Some(StalledFunction {
                name: function.origin.name(),
                label: function.label.clone(),
                file: function.origin.file(),
                line: function.origin.line(),
                is_task: function.key == 0,
            }),
            Problem::Blocked { .. } | Problem::Starved { .. } | Problem::Waiting { .. } => None,
        };
        // A blocked poll shows its own cause. An untraced task may be the cause if a task waits or is not polled.
        let untraced = match (&self.problem, blocked_by) {
            (Problem::Blocked { .. }, _) | (_, Some(_)) => 0,
            _ => dump::untraced_on_runtime_of(&self.handle),
        };
        StallReport {
            untraced,
            kind: self.kind(),
            phase: StallPhase::Began,
            duration: self.since().elapsed(),
            limit,
            task,
            function,
            blocked_by,
            inspected: None,
        }
    }
}
