//! A stall: what it is, and whether it still is.

use std::time::Duration;

use crate::dump::{self, Stall, StallPhase, StallReport, StalledFunction};
use crate::task::{Executor, Limited, Sight, TaskId, TaskState, Tick, TraceHandle};

/// What is wrong with a task.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// It is in this poll, which began then.
    Blocked { poll: u32, since: Tick },
    /// A function in it was last polled then.
    Overdue(Limited),
    /// It should be polled since then, when there had been so many polls.
    Starved {
        polls: u64,
        since: Tick,
        executor: Executor,
    },
}

/// A task and what is wrong, or may be wrong, with it. The reference to the task keeps the record
/// from being used for another.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) handle: TraceHandle,
    pub(super) what: What,
}

/// What tells one stall from all others that there are at the same time: the record, and in it the
/// kind and the function.
pub(super) type Key = (usize, Stall, u64);

impl Found {
    pub(super) fn key(&self) -> Key {
        let function = match &self.what {
            What::Overdue(function) => function.key,
            What::Blocked { .. } | What::Starved { .. } => 0,
        };
        (self.handle.address(), self.kind(), function)
    }

    /// In which order they are reported.
    pub(super) fn order(&self) -> (Stall, TaskId, u64) {
        let (_, kind, function) = self.key();
        (kind, self.handle.id(), function)
    }

    pub(super) fn kind(&self) -> Stall {
        match self.what {
            What::Blocked { .. } => Stall::Blocked,
            What::Overdue(_) => Stall::Overdue,
            What::Starved { .. } => Stall::Starved,
        }
    }

    /// The thread that it blocks, if that is known.
    pub(super) fn blocked_thread(&self) -> Option<u32> {
        let thread = self.handle.executor().thread;
        (self.kind() == Stall::Blocked && thread != 0).then_some(thread)
    }

    pub(super) fn since(&self) -> Tick {
        match &self.what {
            What::Blocked { since, .. } | What::Starved { since, .. } => *since,
            What::Overdue(function) => function.polled,
        }
    }

    /// Whether it is still so: the same poll goes on, or there has been none. Where that cannot be
    /// told, it is.
    pub(super) fn goes_on(&self) -> bool {
        match &self.what {
            What::Blocked { poll, .. } => {
                let sight = self.handle.sight();
                matches!(sight, Sight::Running { poll: now, .. } if now == *poll)
            }
            What::Starved { polls, .. } => {
                self.handle.polls() == *polls && !self.handle.is_finished()
            }
            What::Overdue(function) => {
                let is_it =
                    |now: &Limited| now.key == function.key && now.polled == function.polled;
                match self.handle.limited() {
                    _ if self.handle.is_finished() => false,
                    Some(limited) => limited.iter().any(is_it),
                    None => true,
                }
            }
        }
    }

    /// The report that it has begun. The task may take `budget` to show itself.
    pub(super) fn report(
        &self,
        limit: Duration,
        blocked_by: Option<TaskId>,
        budget: Duration,
    ) -> StallReport {
        let mut task = match self.what {
            // Its executor is not known to be at fault, so it will show where it waits.
            What::Overdue(_) if !budget.is_zero() => dump::asked(&self.handle, budget),
            _ => dump::look_at(&self.handle, budget),
        };
        if self.kind() == Stall::Starved && task.state == TaskState::Suspended {
            // That is how it has been found.
            task.state = TaskState::Woken;
        }
        let function = match &self.what {
            What::Overdue(function) => Some(StalledFunction {
                name: function.origin.name(),
                label: function.label.clone(),
                file: function.origin.file(),
                line: function.origin.line(),
                column: function.origin.column(),
                is_task: function.key == 0,
            }),
            What::Blocked { .. } | What::Starved { .. } => None,
        };
        StallReport {
            kind: self.kind(),
            phase: StallPhase::Began,
            duration: self.since().elapsed(),
            limit,
            task,
            function,
            blocked_by,
        }
    }
}
