//! One look at all tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::incidents::{Crowd, Incidents};
use super::probes::Probes;
use super::stall::{Found, Key, WHOLE_TASK, What};
use crate::diagnosis::{self, Rank};
use crate::dump::{Stall, StallReport};
use crate::origin;
use crate::task::{Glance, Sight, Tick, glances};

/// What looks suspicious is looked at again after this long. When the process was stopped for a
/// while, or a thread did not get a processor, all that was needed was a moment.
const MOMENT: Duration = Duration::from_millis(20);

/// How long the tasks that are reported may take to show themselves, all in all and each.
const BUDGET: Duration = Duration::from_millis(500);
const BUDGET_OF_ONE: Duration = Duration::from_millis(100);

/// After how long something is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) starved_after: Duration,
    pub(super) wait_limit: Duration,
    pub(super) blocked_after: Duration,
}

/// What remains from one look to the next.
pub(super) struct Looker {
    limits: Limits,
    incidents: Incidents,
    probes: Probes,
}

/// What is seen in one look, until it has been looked at again.
struct Seen {
    now: Tick,
    found: Vec<Found>,
    counts: BTreeMap<Crowd, usize>,
}

impl Looker {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            incidents: Incidents::default(),
            probes: Probes::new(limits.starved_after < Duration::MAX),
        }
    }

    /// Looks at all tasks, and reports what has begun or ended since the last time. `pause` waits,
    /// and returns whether to go on.
    pub(super) fn look(
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
            // The reports before may have taken long.
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

    /// Leaves out the polls in which a poll of another task does not end: it is that which is to
    /// blame.
    fn leave_out_what_is_around(&self, found: &mut Vec<Found>) {
        let all = found.iter().chain(self.incidents.iter());
        let nested = all.filter(|found| found.handle.is_nested());
        let blocked: BTreeSet<u32> = nested.filter_map(Found::blocked_thread).collect();
        found.retain(|found| {
            let thread = found.blocked_thread();
            found.handle.is_nested() || thread.is_none_or(|thread| !blocked.contains(&thread))
        });
    }

    /// What looks wrong, and is not known yet.
    fn scan(&mut self) -> Vec<Found> {
        let mut seen = Seen {
            // Before anything is looked at: what was so for long by then was.
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
            // It is looked at again in a moment. So one that began together with the poll around it
            // is found together with that.
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
            let what = What::Blocked { poll, since };
            seen.add(Found { handle, what }, &self.incidents);
        }
    }

    /// Of a task that has never been polled.
    fn suspect_starved(&self, glance: Glance, seen: &mut Seen) {
        let crowd = Crowd::Executor(glance.executor());
        if !seen.has_room(crowd, &self.incidents) || self.incidents.is_starved(glance.address()) {
            return;
        }
        let Some(handle) = glance.retain() else {
            return;
        };
        if let Sight::New { made: since } = handle.sight()
            && seen.now.since(since) >= self.limits.starved_after
        {
            let executor = handle.executor();
            let what = What::Starved {
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
                let what = What::Overdue(function);
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
            let what = What::Waiting {
                since,
                origin: handle.origin(),
            };
            seen.add(Found { handle, what }, &self.incidents);
        }
    }

    /// Makes an incident of what has been found. More of those that may be affected are looked for.
    ///
    /// `None` if it is not to be reported.
    fn begin(&mut self, found: Found, budget: Duration) -> Option<StallReport> {
        let (limit, blocked_by) = match &found.what {
            What::Blocked { .. } => (self.limits.blocked_after, None),
            What::Overdue(function) => (function.limit, None),
            What::Waiting { .. } => (self.limits.wait_limit, None),
            What::Starved { executor, .. } => {
                let blocker = self.incidents.blocker(executor.thread);
                (self.limits.starved_after, blocker)
            }
        };
        let report = found.report(limit, blocked_by, budget);
        let executor = found.handle.executor();
        self.probes.forget(&found);
        let what = found.what.clone();
        // To wait for work, or for the end of the program, is no fault. It is not asked again.
        let is_idle = || diagnosis::likeliest(&report.task).is_some_and(|it| it.rank == Rank::Stop);
        let is_told = !matches!(what, What::Waiting { .. }) || !is_idle();
        let report = is_told.then_some(report);
        self.incidents.add(found, report.clone());
        match what {
            What::Blocked { .. } => self.probes.wake_all_on(executor.thread, &self.incidents),
            What::Starved { polls: 1.., .. } => self.probes.wake_more(executor, &self.incidents),
            // What has never been polled tells nothing of an executor.
            What::Starved { .. } | What::Overdue(_) | What::Waiting { .. } => {}
        }
        report
    }
}

impl Seen {
    fn has_room(&self, crowd: Crowd, incidents: &Incidents) -> bool {
        let seen = self.counts.get(&crowd).copied().unwrap_or(0);
        seen < incidents.room(crowd) && self.found.len() < incidents.left()
    }

    fn add(&mut self, found: Found, incidents: &Incidents) {
        let crowd = Crowd::of(&found.what);
        let has_room = crowd.is_none_or(|crowd| self.has_room(crowd, incidents));
        let key: Key = found.key();
        if !has_room || incidents.contains(key) {
            return;
        }
        if let Some(crowd) = crowd {
            *self.counts.entry(crowd).or_default() += 1;
        }
        self.found.push(found);
    }
}
