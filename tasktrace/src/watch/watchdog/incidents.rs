//! The stalls that were reported and continue.

use std::collections::BTreeMap;

use super::stall::{Found, Key, Problem};
use crate::dump::{Stall, StallPhase, StallReport};
use crate::task::{Executor, Limited, TaskId};

/// The largest number of tasks of one executor that are reported as starved at a time, and of one function as overdue.
/// A reader would not read more.
pub(super) const FEW: usize = 64;

/// The largest number of incidents in total. Blocked polls do not count, because there are at most as many as threads.
const MOST: usize = 1024;

#[derive(Default)]
pub(super) struct Incidents {
    all: BTreeMap<Key, Incident>,
    /// The number of incidents in each group. `counted` is their sum.
    counts: BTreeMap<Group, usize>,
    counted: usize,
}

struct Incident {
    found: Found,
    /// The report, if one was made.
    report: Option<StallReport>,
}

/// A set of stalls that share a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Executor(Executor),
    Function(&'static str, u32, u32),
}

impl Group {
    pub(super) fn of(what: &Problem) -> Option<Self> {
        match what {
            Problem::Blocked { .. } => None,
            Problem::Starved { executor, .. } => Some(Self::Executor(*executor)),
            Problem::Overdue(Limited { origin, .. }) | Problem::Waiting { origin, .. } => {
                let (line, column) = (origin.line(), origin.column());
                Some(Self::Function(origin.file(), line, column))
            }
        }
    }
}

impl Incidents {
    pub(super) fn contains(&self, key: Key) -> bool {
        self.all.contains_key(&key)
    }

    /// Returns `true` if the task at this address was reported as starved.
    pub(super) fn is_starved(&self, address: usize) -> bool {
        self.contains((address, Stall::Starved, 0))
    }

    /// Returns how many more incidents of this group may be added.
    pub(super) fn room(&self, group: Group) -> usize {
        let in_group = self.counts.get(&group).copied().unwrap_or(0);
        FEW.saturating_sub(in_group).min(self.left())
    }

    /// Returns how many more incidents may be added.
    pub(super) fn left(&self) -> usize {
        MOST.saturating_sub(self.counted)
    }

    pub(super) fn add(&mut self, found: Found, report: Option<StallReport>) {
        if let Some(group) = Group::of(&found.what) {
            *self.counts.entry(group).or_default() += 1;
            self.counted += 1;
        }
        self.all.insert(found.key(), Incident { found, report });
    }

    /// Removes the incidents that are over, and returns their reports.
    pub(super) fn take_over(&mut self) -> Vec<StallReport> {
        let all = self.all.iter();
        let over = all.filter(|(_, incident)| !incident.found.goes_on());
        let over: Vec<Key> = over.map(|(key, _)| *key).collect();
        let over = over.into_iter().filter_map(|key| self.all.remove(&key));
        let mut over: Vec<Incident> = over.collect();
        over.sort_by_key(|incident| incident.found.order());
        over.into_iter()
            .filter_map(|incident| self.end(incident))
            .collect()
    }

    fn end(&mut self, incident: Incident) -> Option<StallReport> {
        let Incident { found, report } = incident;
        if let Some(group) = Group::of(&found.what)
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
            ..report?
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Found> {
        self.all.values().map(|incident| &incident.found)
    }

    /// Returns the task that blocks a thread, if there is one.
    pub(super) fn blocker(&self, thread: u32) -> Option<TaskId> {
        let mut all = self.iter();
        let blocks = |found: &&Found| found.blocked_thread() == Some(thread);
        all.find(blocks).map(|found| found.handle.id())
    }
}
