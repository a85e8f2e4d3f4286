//! The stalls that have been reported, and go on.

use std::collections::BTreeMap;

use super::stall::{Found, Key, What};
use crate::dump::{Stall, StallPhase, StallReport};
use crate::task::{Executor, Limited, TaskId};

/// Of one executor so many tasks are reported as starved at a time, and of one function so many as
/// overdue: who reads it will not read more.
pub(super) const FEW: usize = 64;

/// So many in all. Those that are blocked are not counted: there are as many as threads.
const MOST: usize = 1024;

#[derive(Default)]
pub(super) struct Incidents {
    all: BTreeMap<Key, Incident>,
    /// How many there are that have something in common, and the sum of that.
    counts: BTreeMap<Crowd, usize>,
    counted: usize,
}

struct Incident {
    found: Found,
    /// The report, if one was made.
    report: Option<StallReport>,
}

/// What stalls may have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Crowd {
    Executor(Executor),
    Function(&'static str, u32, u32),
}

impl Crowd {
    pub(super) fn of(what: &What) -> Option<Self> {
        match what {
            What::Blocked { .. } => None,
            What::Starved { executor, .. } => Some(Self::Executor(*executor)),
            What::Overdue(Limited { origin, .. }) | What::Waiting { origin, .. } => {
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

    /// Whether the record is that of a task that has been reported as starved.
    pub(super) fn is_starved(&self, address: usize) -> bool {
        self.contains((address, Stall::Starved, 0))
    }

    /// How many more may be added, of these.
    pub(super) fn room(&self, crowd: Crowd) -> usize {
        let in_crowd = self.counts.get(&crowd).copied().unwrap_or(0);
        FEW.saturating_sub(in_crowd).min(self.left())
    }

    /// How many more may be added.
    pub(super) fn left(&self) -> usize {
        MOST.saturating_sub(self.counted)
    }

    pub(super) fn add(&mut self, found: Found, report: Option<StallReport>) {
        if let Some(crowd) = Crowd::of(&found.what) {
            *self.counts.entry(crowd).or_default() += 1;
            self.counted += 1;
        }
        self.all.insert(found.key(), Incident { found, report });
    }

    /// Takes out those that are over, and returns what is to be reported of them.
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
        if let Some(crowd) = Crowd::of(&found.what)
            && let Some(count) = self.counts.get_mut(&crowd)
        {
            *count -= 1;
            self.counted -= 1;
            if *count == 0 {
                self.counts.remove(&crowd);
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

    /// The task that blocks a thread, if one does.
    pub(super) fn blocker(&self, thread: u32) -> Option<TaskId> {
        let mut all = self.iter();
        let blocks = |found: &&Found| found.blocked_thread() == Some(thread);
        all.find(blocks).map(|found| found.handle.id())
    }
}
