//! Tests if executors poll woken tasks, by waking one task of each.
//!
//! At each scan one task of each executor is woken, a different one each time. Its probe *waits* until the task is
//! polled. Meanwhile no other task of that executor is woken, unless the executor has a known problem. Then up to
//! [`MAX_PER_GROUP`] tasks are woken to find out which are affected. A task that another task polls is not woken,
//! because the executor polls the other task.

use super::incidents::{IncidentGroup, Incidents, MAX_PER_GROUP};
use super::stall::{Problem, TaskProblem};
use crate::task::{CoarseInstant, ExecutorId, Observation, TaskView, task_views};

/// The largest number of executors that are probed. Each thread of a runtime counts.
const MAX_EXECUTORS: usize = 1024;

/// The probes of all executors, and the tasks that were woken.
pub(super) struct Probes {
    /// `false` if starved tasks are not reported. Then no task is woken.
    is_on: bool,
    /// The probes of the executors, in the order of the executors.
    probes: Vec<ExecutorProbe>,
    /// The position in `probes` of the last executor, which is usually that of the next task as well.
    last: usize,
    waited_for: Vec<TaskProblem>,
}

/// The probe of an executor: the next task to wake.
struct ExecutorProbe {
    executor: ExecutorId,
    /// The position in the pool of the last task that was woken.
    last: Option<usize>,
    /// The first task that could be woken, and the first one after `last`.
    first: Option<(usize, TaskView)>,
    next: Option<(usize, TaskView)>,
    /// The number of tasks of the executor that are waited for.
    waited_for: usize,
}

/// The waker of a task whose poll is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WakeState {
    /// The task was woken by a request for a trace.
    Before,
    /// The probe must wake the task.
    Now,
}

impl Probes {
    pub(super) fn new(is_on: bool) -> Self {
        Self {
            is_on,
            probes: Vec::new(),
            last: 0,
            waited_for: Vec::new(),
        }
    }

    /// Forgets the tasks that were polled, and the executors that have no more tasks.
    pub(super) fn begin(&mut self) {
        self.waited_for.retain(TaskProblem::continues);
        self.probes
            .retain(|probe| probe.waited_for > 0 || probe.first.is_some() || probe.next.is_some());
        for probe in &mut self.probes {
            (probe.first, probe.next, probe.waited_for) = (None, None, 0);
        }
        for at in 0..self.waited_for.len() {
            if let Problem::Starved { executor, .. } = self.waited_for[at].problem
                && let Some(probe) = self.probe_of(executor)
            {
                probe.waited_for += 1;
            }
        }
    }

    /// Considers a suspended task. A task that was asked for a trace was woken already.
    #[inline]
    pub(super) fn consider(&mut self, position: usize, view: TaskView, incidents: &Incidents) {
        if !self.is_on {
            return;
        }
        if view.is_capture_pending() {
            self.wait_for(view, WakeState::Before, incidents);
            return;
        }
        if view.is_nested() {
            return;
        }
        let Some(probe) = self.probe_of(view.executor()) else {
            return;
        };
        let is_after = probe.last.is_some_and(|last| position > last);
        let place = match is_after {
            true => &mut probe.next,
            false => &mut probe.first,
        };
        if place.is_none() && !incidents.is_starved(view.address()) {
            *place = Some((position, view));
        }
    }

    /// Wakes the next task of each executor.
    pub(super) fn wake(&mut self, incidents: &Incidents) {
        for at in 0..self.probes.len() {
            let probe = &mut self.probes[at];
            if probe.waited_for > 0 {
                continue;
            }
            if let Some((position, view)) = probe.next.or(probe.first) {
                probe.last = Some(position);
                self.wait_for(view, WakeState::Now, incidents);
            }
        }
    }

    /// Wakes more tasks of an executor, up to the limit of its group.
    pub(super) fn wake_more(&mut self, executor: ExecutorId, incidents: &Incidents) {
        let room = self.room(executor, incidents);
        self.wake_some(room, |other| other == executor, incidents);
    }

    /// Wakes up to [`MAX_PER_GROUP`] tasks that were last polled on a thread.
    pub(super) fn wake_all_on(&mut self, thread: u32, incidents: &Incidents) {
        if thread != 0 {
            self.wake_some(MAX_PER_GROUP, |other| other.thread == thread, incidents);
        }
    }

    fn wake_some(&mut self, most: usize, of: impl Fn(ExecutorId) -> bool, incidents: &Incidents) {
        let mut left = if self.is_on { most } else { 0 };
        let mut all = task_views();
        while left > 0
            && let Some(view) = all.next()
        {
            let is_one = of(view.executor())
                && !view.is_nested()
                && matches!(view.observe(), Observation::Suspended { .. });
            if is_one && self.wait_for(view, WakeState::Now, incidents) {
                left -= 1;
            }
        }
    }

    /// Returns the tasks that are waited for.
    pub(super) fn waited_for(&self) -> impl Iterator<Item = &TaskProblem> {
        self.waited_for.iter()
    }

    /// Stops waiting for a task that was reported.
    pub(super) fn forget(&mut self, reported: &TaskProblem) {
        let key = reported.key();
        let Some(at) = self.waited_for.iter().position(|found| found.key() == key) else {
            return;
        };
        let known = self.waited_for.swap_remove(at);
        if let Problem::Starved { executor, .. } = known.problem
            && let Some(probe) = self.probe_of(executor)
        {
            probe.waited_for -= 1;
        }
    }

    /// Returns how many more tasks of an executor may be waited for.
    fn room(&mut self, executor: ExecutorId, incidents: &Incidents) -> usize {
        let room = incidents.room(IncidentGroup::Executor(executor));
        let probe = self.probe_of(executor);
        probe.map_or(0, |probe| room.saturating_sub(probe.waited_for))
    }

    /// Starts to wait for a task. Returns `true` if it does.
    fn wait_for(&mut self, view: TaskView, woken: WakeState, incidents: &Incidents) -> bool {
        let executor = view.executor();
        if self.room(executor, incidents) == 0 || self.is_known(view, incidents) {
            return false;
        }
        let Some(found) = start(view, executor, woken) else {
            return false;
        };
        self.waited_for.push(found);
        if let Some(probe) = self.probe_of(executor) {
            probe.waited_for += 1;
        }
        true
    }

    fn is_known(&self, view: TaskView, incidents: &Incidents) -> bool {
        let address = view.address();
        let mut waited_for = self.waited_for.iter().map(|found| found.handle.address());
        waited_for.any(|known| known == address) || incidents.is_starved(address)
    }

    /// Returns the probe of an executor, or `None` if there are too many executors.
    #[inline]
    fn probe_of(&mut self, executor: ExecutorId) -> Option<&mut ExecutorProbe> {
        let is_last = self
            .probes
            .get(self.last)
            .is_some_and(|probe| probe.executor == executor);
        if !is_last {
            self.last = self.find(executor)?;
        }
        self.probes.get_mut(self.last)
    }

    fn find(&mut self, executor: ExecutorId) -> Option<usize> {
        match self
            .probes
            .binary_search_by_key(&executor, |probe| probe.executor)
        {
            Ok(at) => Some(at),
            Err(_) if self.probes.len() == MAX_EXECUTORS => None,
            Err(at) => {
                let probe = ExecutorProbe {
                    executor,
                    last: None,
                    first: None,
                    next: None,
                    waited_for: 0,
                };
                self.probes.insert(at, probe);
                Some(at)
            }
        }
    }
}

/// Takes a reference to a task and starts to wait for it. Returns `None` if the task has changed since it was viewed.
fn start(view: TaskView, executor: ExecutorId, woken: WakeState) -> Option<TaskProblem> {
    let handle = view.retain()?;
    if !matches!(handle.observe(), Observation::Suspended { .. }) || handle.executor() != executor {
        return None;
    }
    // Read before the wake, so that a poll after it counts.
    let polls = handle.all_polls();
    if woken == WakeState::Now {
        handle.probe();
    }
    let problem = Problem::Starved {
        polls,
        since: CoarseInstant::now_exact(),
        executor,
    };
    Some(TaskProblem { handle, problem })
}
