//! Scans all tasks for stalls.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::incidents::{IncidentGroup, Incidents};
use super::memory::MemoryReading;
use super::probes::Probes;
use super::stall::{IncidentKey, Problem, TaskProblem, WHOLE_TASK};
use crate::diagnosis::{self, WaitRank};
use crate::dump::{Stall, StallReport};
use crate::origin;
use crate::os::time::Instant;
use crate::task::{CoarseInstant, Observation, TaskView, task_views};

/// The time after which a suspicious task is checked again. If the process was stopped, or a thread had no processor,
/// the task makes progress within this time.
const RECHECK_DELAY: Duration = Duration::from_millis(20);

/// The time that the reported tasks have to answer, together and each.
const BUDGET: Duration = Duration::from_millis(500);
const BUDGET_PER_TASK: Duration = Duration::from_millis(100);

/// The times after which stalls are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StallLimits {
    pub(super) starved_after: Duration,
    pub(super) wait_limit: Duration,
    pub(super) blocked_after: Duration,
}

/// Scans all tasks periodically. The fields are the state between two scans.
pub(super) struct Scanner {
    limits: StallLimits,
    incidents: Incidents,
    probes: Probes,
}

/// The suspects of one scan, before they are checked again.
struct Suspects {
    now: CoarseInstant,
    found: Vec<TaskProblem>,
    counts: BTreeMap<IncidentGroup, usize>,
}

impl Scanner {
    pub(super) fn new(limits: StallLimits) -> Self {
        Self {
            limits,
            incidents: Incidents::default(),
            probes: Probes::new(limits.starved_after < Duration::MAX),
        }
    }

    /// Scans all tasks, and reports the stalls that have begun or ended since the last scan. `pause` waits, and returns
    /// `true` if the watchdog should continue.
    pub(super) fn check(
        &mut self,
        pause: impl Fn(Duration) -> bool,
        mut report: impl FnMut(&StallReport),
    ) {
        for ended in self.incidents.take_ended() {
            report(&ended);
        }
        self.probes.begin();
        let mut found = self.scan();
        if !found.is_empty() {
            if !pause(RECHECK_DELAY) {
                return;
            }
            found.retain(TaskProblem::continues);
            self.retain_innermost_blocked_polls(&mut found);
            found.sort_by_key(TaskProblem::order);
        }
        let deadline = Instant::now() + BUDGET;
        let memory = MemoryReading::default();
        for found in found {
            if !pause(Duration::ZERO) {
                return;
            }
            // The previous reports may have taken long.
            if !found.continues() {
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(mut begun) = self.begin(found, left.min(BUDGET_PER_TASK)) {
                // A blocked poll shows its own cause.
                if begun.kind != Stall::Blocked {
                    begun.inspected = memory.read();
                }
                report(&begun);
            }
        }
        self.probes.wake(&self.incidents);
    }

    /// Removes blocked polls that contain a blocked poll of another task, because the inner poll is the cause.
    fn retain_innermost_blocked_polls(&self, found: &mut Vec<TaskProblem>) {
        let all = found.iter().chain(self.incidents.iter());
        let nested = all.filter(|found| found.handle.is_nested());
        let blocked: BTreeSet<u32> = nested.filter_map(TaskProblem::blocked_thread).collect();
        found.retain(|found| {
            let thread = found.blocked_thread();
            found.handle.is_nested() || thread.is_none_or(|thread| !blocked.contains(&thread))
        });
    }

    /// Returns the stalls that look new.
    fn scan(&mut self) -> Vec<TaskProblem> {
        let mut suspects = Suspects {
            // The time is read before the tasks, so that no stall looks longer than it is.
            now: CoarseInstant::now_exact(),
            found: Vec::new(),
            counts: BTreeMap::new(),
        };
        for found in self.probes.waited_for() {
            if suspects.now.since(found.since()) >= self.limits.starved_after {
                suspects.add(found.clone(), &self.incidents);
            }
        }
        let any_limits = origin::any_limits();
        for (position, view) in task_views().enumerate() {
            match view.observe() {
                Observation::Suspended { since, .. } => {
                    self.probes.consider(position, view, &self.incidents);
                    if any_limits && view.may_be_overdue(since, suspects.now) {
                        self.suspect_overdue(view, &mut suspects);
                    }
                    if self.waits_too_long(since, &suspects) && !view.is_nested() {
                        self.suspect_waiting(view, &mut suspects);
                    }
                }
                Observation::Running { since, .. } => {
                    if self.is_blocked(since, view.is_nested(), &suspects) {
                        self.suspect_blocked(view, &mut suspects);
                    }
                }
                Observation::New { created_at: made } => {
                    if suspects.now.since(made) >= self.limits.starved_after {
                        self.suspect_starved(view, &mut suspects);
                    }
                }
                Observation::Finished | Observation::Panicked => {}
            }
        }
        suspects.found
    }

    fn is_blocked(&self, since: CoarseInstant, is_nested: bool, suspects: &Suspects) -> bool {
        let limit = match is_nested {
            // The problem is checked again after this delay. So a poll that began together with its outer poll is found
            // together with the outer poll.
            true => self.limits.blocked_after.saturating_sub(RECHECK_DELAY),
            false => self.limits.blocked_after,
        };
        suspects.now.since(since) >= limit
    }

    fn suspect_blocked(&self, view: TaskView, suspects: &mut Suspects) {
        if self.incidents.contains((view.address(), Stall::Blocked, 0)) {
            return;
        }
        let Some(handle) = view.retain() else {
            return;
        };
        if let Observation::Running { poll, since } = handle.observe()
            && self.is_blocked(since, handle.is_nested(), suspects)
        {
            let problem = Problem::Blocked { poll, since };
            suspects.add(TaskProblem { handle, problem }, &self.incidents);
        }
    }

    /// Suspects a task that was never polled.
    fn suspect_starved(&self, view: TaskView, suspects: &mut Suspects) {
        let group = IncidentGroup::Executor(view.executor());
        if !suspects.has_room(group, &self.incidents) || self.incidents.is_starved(view.address()) {
            return;
        }
        let Some(handle) = view.retain() else {
            return;
        };
        if let Observation::New { created_at: since } = handle.observe()
            && suspects.now.since(since) >= self.limits.starved_after
        {
            let executor = handle.executor();
            let problem = Problem::Starved {
                polls: 0,
                since,
                executor,
            };
            suspects.add(TaskProblem { handle, problem }, &self.incidents);
        }
    }

    /// Suspects the functions of a task that wait for longer than their own limits.
    fn suspect_overdue(&self, view: TaskView, suspects: &mut Suspects) {
        let Some(handle) = view.retain() else {
            return;
        };
        for function in handle.wait_limits().into_iter().flatten() {
            if suspects.now.since(function.polled) >= function.limit {
                let handle = handle.clone();
                let problem = Problem::Overdue(function);
                suspects.add(TaskProblem { handle, problem }, &self.incidents);
            }
        }
    }

    fn waits_too_long(&self, since: CoarseInstant, suspects: &Suspects) -> bool {
        let limit = self.limits.wait_limit;
        limit < Duration::MAX && suspects.now.since(since) >= limit
    }

    /// Suspects a task that waits for longer than the limit for all tasks, unless a function in it has its own limit.
    fn suspect_waiting(&self, view: TaskView, suspects: &mut Suspects) {
        let key = (view.address(), Stall::Overdue, WHOLE_TASK);
        if self.incidents.contains(key) {
            return;
        }
        let Some(handle) = view.retain() else {
            return;
        };
        if let Observation::Suspended { since, .. } = handle.observe()
            && self.waits_too_long(since, suspects)
            && handle
                .wait_limits()
                .is_some_and(|limited| limited.is_empty())
        {
            let problem = Problem::Waiting {
                since,
                origin: handle.origin(),
            };
            suspects.add(TaskProblem { handle, problem }, &self.incidents);
        }
    }

    /// Adds an incident for a stall, and wakes other tasks that may be affected.
    ///
    /// Returns `None` if the stall must not be reported.
    fn begin(&mut self, found: TaskProblem, budget: Duration) -> Option<StallReport> {
        let (limit, blocked_by) = match &found.problem {
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
        let problem = found.problem.clone();
        // It is not a fault to wait for work, or for the program to stop. The task is not checked again.
        let is_idle =
            || diagnosis::likeliest(&report.task).is_some_and(|it| it.rank == WaitRank::Stop);
        let is_told = !matches!(problem, Problem::Waiting { .. }) || !is_idle();
        let report = is_told.then_some(report);
        self.incidents.add(found, report.clone());
        match problem {
            Problem::Blocked { .. } => self.probes.wake_all_on(executor.thread, &self.incidents),
            Problem::Starved { polls: 1.., .. } => self.probes.wake_more(executor, &self.incidents),
            // A task that was never polled says nothing about its executor.
            Problem::Starved { .. } | Problem::Overdue(_) | Problem::Waiting { .. } => {}
        }
        report
    }
}

impl Suspects {
    fn has_room(&self, group: IncidentGroup, incidents: &Incidents) -> bool {
        let count = self.counts.get(&group).copied().unwrap_or(0);
        count < incidents.room(group) && self.found.len() < incidents.left()
    }

    fn add(&mut self, found: TaskProblem, incidents: &Incidents) {
        let group = IncidentGroup::of(&found.problem);
        let has_room = group.is_none_or(|group| self.has_room(group, incidents));
        let key: IncidentKey = found.key();
        if !has_room || incidents.contains(key) {
            return;
        }
        if let Some(group) = group {
            *self.counts.entry(group).or_default() += 1;
        }
        self.found.push(found);
    }
}
