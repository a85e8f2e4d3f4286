//! A stall: what it is, and whether it still is.

use std::time::Duration;

use crate::dump::{self, Stall, StallPhase, StallReport, StalledFunction, Unpolled};
use crate::origin::Origin;
use crate::task::{Executor, Limited, Sight, TaskId, TaskState, Tick, TraceHandle};

/// What is wrong with a task.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// It is in this poll, which began then.
    Blocked { poll: u32, since: Tick },
    /// A function in it was last polled then.
    Overdue(Limited),
    /// It waits since then, in a function from there.
    Waiting { since: Tick, origin: Origin },
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

/// Stands for a function where it is the task that waits too long.
pub(super) const WHOLE_TASK: u64 = u64::MAX;

impl Found {
    pub(super) fn key(&self) -> Key {
        let function = match &self.what {
            What::Overdue(function) => function.key,
            What::Waiting { .. } => WHOLE_TASK,
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
            What::Overdue(_) | What::Waiting { .. } => Stall::Overdue,
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
            What::Blocked { since, .. }
            | What::Starved { since, .. }
            | What::Waiting { since, .. } => *since,
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
            // A poll for a request leaves the time as it was, and a poll that goes on may be for a request.
            What::Waiting { since, .. } => match self.handle.sight() {
                Sight::Resting { since: now, .. } => now == *since,
                Sight::Running { .. } | Sight::Moving => true,
                Sight::New { .. } | Sight::Finished => false,
            },
            What::Starved { polls, .. } => {
                self.handle.all_polls() == *polls && !self.handle.is_finished()
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
            What::Overdue(_) | What::Waiting { .. } if !budget.is_zero() => {
                dump::asked(&self.handle, budget)
            }
            _ => dump::look_at(&self.handle, budget),
        };
        if self.kind() == Stall::Starved {
            if task.state == TaskState::Suspended {
                // That is how it has been found.
                task.state = TaskState::Woken;
            }
            // It has been seen twice.
            task.unpolled = Some(Unpolled {
                for_: self.since().elapsed(),
                is_proven: true,
            });
        }
        let function = match &self.what {
            What::Overdue(function) => Some(StalledFunction {
                name: function.origin.name(),
                label: function.label.clone(),
                file: function.origin.file(),
                line: function.origin.line(),
                is_task: function.key == 0,
            }),
            What::Blocked { .. } | What::Starved { .. } | What::Waiting { .. } => None,
        };
        // A blocked poll shows itself. A task that waits, or is not polled, may be up to one that is not seen.
        let untraced = match (&self.what, blocked_by) {
            (What::Blocked { .. }, _) | (_, Some(_)) => 0,
            _ => dump::untraced_beside(&self.handle),
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
        }
    }
}
