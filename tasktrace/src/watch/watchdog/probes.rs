//! Probes whether executors poll woken tasks.
//!
//! At each check one task of each executor is woken, a different one each time, and *waited for* until it is polled.
//! Meanwhile no other task of that executor is woken, unless the executor has a known problem. Then up to [`FEW`] tasks
//! are woken to find out which are affected. A task that another task polls is not woken, because the executor polls
//! the other task.

use super::incidents::{FEW, Group, Incidents};
use super::stall::{Found, Problem};
use crate::task::{Executor, Glance, Sight, Tick, glances};

/// The largest number of executors that are probed. Each thread of a runtime counts.
const MOST_EXECUTORS: usize = 1024;

pub(super) struct Probes {
    /// `false` if starved tasks are not reported. Then no task is woken.
    is_on: bool,
    /// The turns, in the order of their executors.
    turns: Vec<Turn>,
    /// The position in `turns` of the last executor, which is usually that of the next task as well.
    last: usize,
    waited_for: Vec<Found>,
}

/// The next task to wake on an executor.
struct Turn {
    executor: Executor,
    /// The position in the pool of the last task that was woken.
    last: Option<usize>,
    /// The first task that could be woken, and the first one after `last`.
    first: Option<(usize, Glance)>,
    next: Option<(usize, Glance)>,
    /// The number of tasks of the executor that are waited for.
    waited_for: usize,
}

/// Whether a task that is waited for must be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    /// The task was woken by a request for a trace.
    Before,
    /// The probe must wake the task.
    Now,
}

impl Probes {
    pub(super) fn new(is_on: bool) -> Self {
        Self {
            is_on,
            turns: Vec::new(),
            last: 0,
            waited_for: Vec::new(),
        }
    }

    /// Forgets the tasks that were polled, and the executors that have no more tasks.
    pub(super) fn begin(&mut self) {
        self.waited_for.retain(Found::goes_on);
        self.turns
            .retain(|turn| turn.waited_for > 0 || turn.first.is_some() || turn.next.is_some());
        for turn in &mut self.turns {
            (turn.first, turn.next, turn.waited_for) = (None, None, 0);
        }
        for at in 0..self.waited_for.len() {
            if let Problem::Starved { executor, .. } = self.waited_for[at].what
                && let Some(turn) = self.turn(executor)
            {
                turn.waited_for += 1;
            }
        }
    }

    /// Considers a suspended task. A task that was asked for a trace was woken already.
    #[inline]
    pub(super) fn see(&mut self, position: usize, glance: Glance, incidents: &Incidents) {
        if !self.is_on {
            return;
        }
        if glance.is_asked() {
            self.wait_for(glance, Woken::Before, incidents);
            return;
        }
        if glance.is_nested() {
            return;
        }
        let Some(turn) = self.turn(glance.executor()) else {
            return;
        };
        let is_after = turn.last.is_some_and(|last| position > last);
        let place = match is_after {
            true => &mut turn.next,
            false => &mut turn.first,
        };
        if place.is_none() && !incidents.is_starved(glance.address()) {
            *place = Some((position, glance));
        }
    }

    /// Wakes the next task of each executor.
    pub(super) fn wake(&mut self, incidents: &Incidents) {
        for at in 0..self.turns.len() {
            let turn = &mut self.turns[at];
            if turn.waited_for > 0 {
                continue;
            }
            if let Some((position, glance)) = turn.next.or(turn.first) {
                turn.last = Some(position);
                self.wait_for(glance, Woken::Now, incidents);
            }
        }
    }

    /// Wakes more tasks of an executor, up to the limit of its group.
    pub(super) fn wake_more(&mut self, executor: Executor, incidents: &Incidents) {
        let room = self.room(executor, incidents);
        self.wake_some(room, |other| other == executor, incidents);
    }

    /// Wakes up to [`FEW`] tasks that were last polled on a thread.
    pub(super) fn wake_all_on(&mut self, thread: u32, incidents: &Incidents) {
        if thread != 0 {
            self.wake_some(FEW, |other| other.thread == thread, incidents);
        }
    }

    fn wake_some(&mut self, most: usize, of: impl Fn(Executor) -> bool, incidents: &Incidents) {
        let mut left = if self.is_on { most } else { 0 };
        let mut all = glances();
        while left > 0
            && let Some(glance) = all.next()
        {
            let is_one = of(glance.executor())
                && !glance.is_nested()
                && matches!(glance.sight(), Sight::Resting { .. });
            if is_one && self.wait_for(glance, Woken::Now, incidents) {
                left -= 1;
            }
        }
    }

    /// Returns the tasks that are waited for.
    pub(super) fn waited_for(&self) -> impl Iterator<Item = &Found> {
        self.waited_for.iter()
    }

    /// Stops waiting for a task that was reported.
    pub(super) fn forget(&mut self, reported: &Found) {
        let key = reported.key();
        let Some(at) = self.waited_for.iter().position(|found| found.key() == key) else {
            return;
        };
        let known = self.waited_for.swap_remove(at);
        if let Problem::Starved { executor, .. } = known.what
            && let Some(turn) = self.turn(executor)
        {
            turn.waited_for -= 1;
        }
    }

    /// Returns how many more tasks of an executor may be waited for.
    fn room(&mut self, executor: Executor, incidents: &Incidents) -> usize {
        let room = incidents.room(Group::Executor(executor));
        let turn = self.turn(executor);
        turn.map_or(0, |turn| room.saturating_sub(turn.waited_for))
    }

    /// Starts to wait for a task. Returns `true` if it does.
    fn wait_for(&mut self, glance: Glance, woken: Woken, incidents: &Incidents) -> bool {
        let executor = glance.executor();
        if self.room(executor, incidents) == 0 || self.is_known(glance, incidents) {
            return false;
        }
        let Some(found) = start(glance, executor, woken) else {
            return false;
        };
        self.waited_for.push(found);
        if let Some(turn) = self.turn(executor) {
            turn.waited_for += 1;
        }
        true
    }

    fn is_known(&self, glance: Glance, incidents: &Incidents) -> bool {
        let address = glance.address();
        let mut waited_for = self.waited_for.iter().map(|found| found.handle.address());
        waited_for.any(|known| known == address) || incidents.is_starved(address)
    }

    /// Returns the turn of an executor, or `None` if there are too many executors.
    #[inline]
    fn turn(&mut self, executor: Executor) -> Option<&mut Turn> {
        let is_last = self
            .turns
            .get(self.last)
            .is_some_and(|turn| turn.executor == executor);
        if !is_last {
            self.last = self.find(executor)?;
        }
        self.turns.get_mut(self.last)
    }

    fn find(&mut self, executor: Executor) -> Option<usize> {
        match self
            .turns
            .binary_search_by_key(&executor, |turn| turn.executor)
        {
            Ok(at) => Some(at),
            Err(_) if self.turns.len() == MOST_EXECUTORS => None,
            Err(at) => {
                let turn = Turn {
                    executor,
                    last: None,
                    first: None,
                    next: None,
                    waited_for: 0,
                };
                self.turns.insert(at, turn);
                Some(at)
            }
        }
    }
}

/// Takes a reference to a task and starts to wait for it. Returns `None` if the task has changed since it was seen.
fn start(glance: Glance, executor: Executor, woken: Woken) -> Option<Found> {
    let handle = glance.retain()?;
    if !matches!(handle.sight(), Sight::Resting { .. }) || handle.executor() != executor {
        return None;
    }
    // Read before the wake, so that a poll after it counts.
    let polls = handle.all_polls();
    if woken == Woken::Now {
        handle.probe();
    }
    let what = Problem::Starved {
        polls,
        since: Tick::read(),
        executor,
    };
    Some(Found { handle, what })
}
