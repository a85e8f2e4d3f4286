//! Stores the stalls that were reported and continue.

use std::collections::BTreeMap;

use super::stall::{IncidentKey, Problem, TaskProblem};
use crate::dump::{Stall, StallPhase, StallReport};
use crate::task::{ExecutorId, TaskId, WaitLimit};

/// The largest number of tasks of one executor that are reported as starved at a time, and of tasks of one function
/// that are reported as overdue. Nobody would read more reports.
pub(super) const MAX_PER_GROUP: usize = 64;

/// The largest number of incidents in total. Blocked polls do not count, because there are at most as many as threads.
const MAX_INCIDENTS: usize = 1024;

/// The stalls that were reported and continue.
#[derive(Default)]
pub(super) struct Incidents {
    all: BTreeMap<IncidentKey, Incident>,
    /// The number of incidents in each group. `counted` is their sum.
    counts: BTreeMap<IncidentGroup, usize>,
    counted: usize,
}

/// A stall that was reported, or was found not to be a fault.
struct Incident {
    found: TaskProblem,
    /// The report, if one was made.
    report: Option<StallReport>,
}

/// A set of stalls that share a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum IncidentGroup {
    Executor(ExecutorId),
    Function(&'static str, u32, u32),
}

impl IncidentGroup {
    pub(super) fn of(problem: &Problem) -> Option<Self> {
        match problem {
            Problem::Blocked { .. } => None,
            Problem::Starved { executor, .. } => Some(Self::Executor(*executor)),
            Problem::Overdue(WaitLimit { origin, .. }) | Problem::Waiting { origin, .. } => {
                let (line, column) = (origin.line(), origin.column());
                Some(Self::Function(origin.file(), line, column))
            }
        }
    }
}

impl Incidents {
    pub(super) fn contains(&self, key: IncidentKey) -> bool {
        self.all.contains_key(&key)
    }

    /// Returns `true` if the task at this address was reported as starved.
    pub(super) fn is_starved(&self, address: usize) -> bool {
        self.contains((address, Stall::Starved, 0))
    }

    /// Returns how many more incidents of this group may be added.
    pub(super) fn room(&self, group: IncidentGroup) -> usize {
        let in_group = self.counts.get(&group).copied().unwrap_or(0);
        MAX_PER_GROUP.saturating_sub(in_group).min(self.left())
    }

    /// Returns how many more incidents may be added.
    pub(super) fn left(&self) -> usize {
        MAX_INCIDENTS.saturating_sub(self.counted)
    }

    pub(super) fn add(&mut self, found: TaskProblem, report: Option<StallReport>) {
        if let Some(group) = IncidentGroup::of(&found.problem) {
            *self.counts.entry(group).or_default() += 1;
            self.counted += 1;
        }
        self.all.insert(found.key(), Incident { found, report });
    }

    /// Removes the incidents that are over, and returns their reports.
    pub(super) fn take_ended(&mut self) -> Vec<StallReport> {
        let all = self.all.iter();
        let ended = all.filter(|(_, incident)| !incident.found.continues());
        let ended: Vec<IncidentKey> = ended.map(|(key, _)| *key).collect();
        let ended = ended.into_iter().filter_map(|key| self.all.remove(&key));
        let mut ended: Vec<Incident> = ended.collect();
        ended.sort_by_key(|incident| incident.found.order());
        ended
            .into_iter()
            .filter_map(|incident| self.end(incident))
            .collect()
    }

    fn end(&mut self, incident: Incident) -> Option<StallReport> {
        let Incident { found, report } = incident;
        if let Some(group) = IncidentGroup::of(&found.problem)
            && let Some(count) = self.counts.get_mut(&group)
        {
            *count -= 1;
            self.counted -= 1;
            if *count == 0 {
                self.counts.remove(&group);
            }
        }
        Some(StallReport {
            phase: StallPhase::Ended,
            duration: found.since().elapsed(),
            untraced: 0,
            inspected: None,
            ..report?
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &TaskProblem> {
        self.all.values().map(|incident| &incident.found)
    }

    /// Returns the task that blocks a thread, if there is one.
    pub(super) fn blocker(&self, thread: u32) -> Option<TaskId> {
        let mut all = self.iter();
        let blocks = |found: &&TaskProblem| found.blocked_thread() == Some(thread);
        all.find(blocks).map(|found| found.handle.id())
    }
}
