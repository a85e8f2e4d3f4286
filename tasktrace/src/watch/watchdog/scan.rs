//! One check of all tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::incidents::{Group, Incidents};
use super::probes::Probes;
use super::stall::{Found, Key, Problem, WHOLE_TASK};
use crate::diagnosis::{self, Rank};
use crate::dump::{Stall, StallReport};
use crate::origin;
use crate::task::{Glance, Sight, Tick, glances};

/// The time after which a suspicious task is checked again. If the process was stopped, or a thread had no processor,
/// the task makes progress within this time.
const MOMENT: Duration = Duration::from_millis(20);

/// The time that the reported tasks have to answer, together and each.
const BUDGET: Duration = Duration::from_millis(500);
const BUDGET_OF_ONE: Duration = Duration::from_millis(100);

/// The times after which stalls are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) starved_after: Duration,
    pub(super) wait_limit: Duration,
    pub(super) blocked_after: Duration,
}

/// Checks all tasks periodically. Its fields are the state between two checks.
pub(super) struct Scanner {
    limits: Limits,
    incidents: Incidents,
    probes: Probes,
}

/// The suspects of one scan, before they are checked again.
struct Seen {
    now: Tick,
    found: Vec<Found>,
    counts: BTreeMap<Group, usize>,
}

impl Scanner {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            incidents: Incidents::default(),
            probes: Probes::new(limits.starved_after < Duration::MAX),
        }
    }

    /// Checks all tasks, and reports the stalls that have begun or ended since the last check. `pause` waits, and
    /// returns `true` if the watchdog should continue.
    pub(super) fn check(
        &mut self,
        pause: impl Fn(Duration) -> bool,
        mut report: impl FnMut(&StallReport),
    ) {
        for ended in self.incidents.take_over() {
            report(&ended);
        }
        self.probes.begin();
        let mut found = self.scan();
        if !found.is_empty() {
            if !pause(MOMENT) {
                return;
            }
            found.retain(Found::goes_on);
            self.leave_out_what_is_around(&mut found);
            found.sort_by_key(Found::order);
        }
        let deadline = Instant::now() + BUDGET;
        for found in found {
            if !pause(Duration::ZERO) {
                return;
            }
            // The previous reports may have taken long.
            if !found.goes_on() {
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(begun) = self.begin(found, left.min(BUDGET_OF_ONE)) {
                report(&begun);
            }
        }
        self.probes.wake(&self.incidents);
    }

    /// Removes blocked polls that contain a blocked poll of another task, because the inner poll is the cause.
    fn leave_out_what_is_around(&self, found: &mut Vec<Found>) {
        let all = found.iter().chain(self.incidents.iter());
        let nested = all.filter(|found| found.handle.is_nested());
        let blocked: BTreeSet<u32> = nested.filter_map(Found::blocked_thread).collect();
        found.retain(|found| {
            let thread = found.blocked_thread();
            found.handle.is_nested() || thread.is_none_or(|thread| !blocked.contains(&thread))
        });
    }

    /// Returns the stalls that look new.
    fn scan(&mut self) -> Vec<Found> {
        let mut seen = Seen {
            // Read before the tasks, so that no stall looks longer than it is.
            now: Tick::read(),
            found: Vec::new(),
            counts: BTreeMap::new(),
        };
        for found in self.probes.waited_for() {
            if seen.now.since(found.since()) >= self.limits.starved_after {
                seen.add(found.clone(), &self.incidents);
            }
        }
        let any_limits = origin::any_limits();
        for (position, glance) in glances().enumerate() {
            match glance.sight() {
                Sight::Resting { since, .. } => {
                    self.probes.see(position, glance, &self.incidents);
                    if any_limits && glance.may_be_overdue(since, seen.now) {
                        self.suspect_overdue(glance, &mut seen);
                    }
                    if self.waits_too_long(since, &seen) && !glance.is_nested() {
                        self.suspect_waiting(glance, &mut seen);
                    }
                }
                Sight::Running { since, .. } => {
                    if self.is_blocked(since, glance.is_nested(), &seen) {
                        self.suspect_blocked(glance, &mut seen);
                    }
                }
                Sight::New { made } => {
                    if seen.now.since(made) >= self.limits.starved_after {
                        self.suspect_starved(glance, &mut seen);
                    }
                }
                Sight::Finished | Sight::Moving => {}
            }
        }
        seen.found
    }

    fn is_blocked(&self, since: Tick, is_nested: bool, seen: &Seen) -> bool {
        let limit = match is_nested {
            // It is checked again after a moment. So a poll that began together with its outer poll is found together
            // with that.
            true => self.limits.blocked_after.saturating_sub(MOMENT),
            false => self.limits.blocked_after,
        };
        seen.now.since(since) >= limit
    }

    fn suspect_blocked(&self, glance: Glance, seen: &mut Seen) {
        if self
            .incidents
            .contains((glance.address(), Stall::Blocked, 0))
        {
            return;
        }
        let Some(handle) = glance.retain() else {
            return;
        };
        if let Sight::Running { poll, since } = handle.sight()
            && self.is_blocked(since, handle.is_nested(), seen)
        {
            let what = Problem::Blocked { poll, since };
            seen.add(Found { handle, what }, &self.incidents);
        }
    }

    /// Suspects a task that was never polled.
    fn suspect_starved(&self, glance: Glance, seen: &mut Seen) {
        let group = Group::Executor(glance.executor());
        if !seen.has_room(group, &self.incidents) || self.incidents.is_starved(glance.address()) {
            return;
        }
        let Some(handle) = glance.retain() else {
            return;
        };
        if let Sight::New { made: since } = handle.sight()
            && seen.now.since(since) >= self.limits.starved_after
        {
            let executor = handle.executor();
            let what = Problem::Starved {
                polls: 0,
                since,
                executor,
            };
            seen.add(Found { handle, what }, &self.incidents);
        }
    }

    fn suspect_overdue(&self, glance: Glance, seen: &mut Seen) {
        let Some(handle) = glance.retain() else {
            return;
        };
        for function in handle.limited().into_iter().flatten() {
            if seen.now.since(function.polled) >= function.limit {
                let handle = handle.clone();
                let what = Problem::Overdue(function);
                seen.add(Found { handle, what }, &self.incidents);
            }
        }
    }

    fn waits_too_long(&self, since: Tick, seen: &Seen) -> bool {
        let limit = self.limits.wait_limit;
        limit < Duration::MAX && seen.now.since(since) >= limit
    }

    /// Suspects a task that waits for longer than the limit for all tasks, unless a function in it has its own limit.
    fn suspect_waiting(&self, glance: Glance, seen: &mut Seen) {
        let key = (glance.address(), Stall::Overdue, WHOLE_TASK);
        if self.incidents.contains(key) {
            return;
        }
        let Some(handle) = glance.retain() else {
            return;
        };
        if let Sight::Resting { since, .. } = handle.sight()
            && self.waits_too_long(since, seen)
            && handle.limited().is_some_and(|limited| limited.is_empty())
        {
            let what = Problem::Waiting {
                since,
                origin: handle.origin(),
            };
            seen.add(Found { handle, what }, &self.incidents);
        }
    }

    /// Makes an incident of a stall, and wakes other tasks that may be affected.
    ///
    /// Returns `None` if the stall is not to be reported.
    fn begin(&mut self, found: Found, budget: Duration) -> Option<StallReport> {
        let (limit, blocked_by) = match &found.what {
            Problem::Blocked { .. } => (self.limits.blocked_after, None),
            Problem::Overdue(function) => (function.limit, None),
            Problem::Waiting { .. } => (self.limits.wait_limit, None),
            Problem::Starved { executor, .. } => {
                let blocker = self.incidents.blocker(executor.thread);
                (self.limits.starved_after, blocker)
            }
        };
        let report = found.report(limit, blocked_by, budget);
        let executor = found.handle.executor();
        self.probes.forget(&found);
        let what = found.what.clone();
        // To wait for work, or for the program to stop, is not a fault. The task is not checked again.
        let is_idle = || diagnosis::likeliest(&report.task).is_some_and(|it| it.rank == Rank::Stop);
        let is_told = !matches!(what, Problem::Waiting { .. }) || !is_idle();
        let report = is_told.then_some(report);
        self.incidents.add(found, report.clone());
        match what {
            Problem::Blocked { .. } => self.probes.wake_all_on(executor.thread, &self.incidents),
            Problem::Starved { polls: 1.., .. } => self.probes.wake_more(executor, &self.incidents),
            // A task that was never polled says nothing about its executor.
            Problem::Starved { .. } | Problem::Overdue(_) | Problem::Waiting { .. } => {}
        }
        report
    }
}

impl Seen {
    fn has_room(&self, group: Group, incidents: &Incidents) -> bool {
        let seen = self.counts.get(&group).copied().unwrap_or(0);
        seen < incidents.room(group) && self.found.len() < incidents.left()
    }

    fn add(&mut self, found: Found, incidents: &Incidents) {
        let group = Group::of(&found.what);
        let has_room = group.is_none_or(|group| self.has_room(group, incidents));
        let key: Key = found.key();
        if !has_room || incidents.contains(key) {
            return;
        }
        if let Some(group) = group {
            *self.counts.entry(group).or_default() += 1;
        }
        self.found.push(found);
    }
}
