//! Whether executors poll what is woken.
//!
//! One task of each executor is woken at each look, another each time, and is *waited for* until it
//! is polled. While it is, no other of that executor is woken, unless it is known that something is
//! wrong there; then so many that it can be said who is affected. What is polled by another task is
//! not woken: it is that one which the executor polls, and to which the poll would count.

use super::incidents::{Crowd, FEW, Incidents};
use super::stall::{Found, What};
use crate::task::{Executor, Glance, Sight, Tick, glances};

/// So many executors are probed. Of a runtime with many threads each counts.
const MOST_EXECUTORS: usize = 1024;

pub(super) struct Probes {
    /// Nobody is woken if nobody is to be reported.
    is_on: bool,
    /// In their order.
    turns: Vec<Turn>,
    /// Where in that the executor of the last task is: most often that of the next as well.
    last: usize,
    waited_for: Vec<Found>,
}

/// Whose turn it is on an executor.
struct Turn {
    executor: Executor,
    /// Where in the pool the last that had its turn was found.
    last: Option<usize>,
    /// The first that could have it, and the first after the last.
    first: Option<(usize, Glance)>,
    next: Option<(usize, Glance)>,
    /// How many of its tasks are waited for.
    waited_for: usize,
}

/// Who has woken a task that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    /// Somebody else.
    Before,
    /// Nobody yet: that is to be done.
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

    /// Forgets the tasks that have been polled, and the executors that have none any more.
    pub(super) fn begin(&mut self) {
        self.waited_for.retain(Found::goes_on);
        self.turns
            .retain(|turn| turn.waited_for > 0 || turn.first.is_some() || turn.next.is_some());
        for turn in &mut self.turns {
            (turn.first, turn.next, turn.waited_for) = (None, None, 0);
        }
        for at in 0..self.waited_for.len() {
            if let What::Starved { executor, .. } = self.waited_for[at].what
                && let Some(turn) = self.turn(executor)
            {
                turn.waited_for += 1;
            }
        }
    }

    /// Looks at a task that is at rest. What is asked for a trace has been woken already.
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

    /// Wakes those that have their turn.
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

    /// Wakes more tasks of an executor, as many as are worth telling.
    pub(super) fn wake_more(&mut self, executor: Executor, incidents: &Incidents) {
        let room = self.room(executor, incidents);
        self.wake_some(room, |other| other == executor, incidents);
    }

    /// Wakes tasks that were last polled on a thread, as many as are worth telling.
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

    /// Those that are waited for.
    pub(super) fn waited_for(&self) -> impl Iterator<Item = &Found> {
        self.waited_for.iter()
    }

    /// Waits no more for one that has been reported.
    pub(super) fn forget(&mut self, reported: &Found) {
        let key = reported.key();
        let Some(at) = self.waited_for.iter().position(|found| found.key() == key) else {
            return;
        };
        let known = self.waited_for.swap_remove(at);
        if let What::Starved { executor, .. } = known.what
            && let Some(turn) = self.turn(executor)
        {
            turn.waited_for -= 1;
        }
    }

    /// How many more of an executor may be waited for.
    fn room(&mut self, executor: Executor, incidents: &Incidents) -> usize {
        let room = incidents.room(Crowd::Executor(executor));
        let turn = self.turn(executor);
        turn.map_or(0, |turn| room.saturating_sub(turn.waited_for))
    }

    /// Whether it is waited for from now on.
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

    /// That of an executor. `None` if there are too many.
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

/// Begins to wait for a task, which from here on is that of the record. `None` if it is not what it
/// was taken for.
fn start(glance: Glance, executor: Executor, woken: Woken) -> Option<Found> {
    let handle = glance.retain()?;
    if !matches!(handle.sight(), Sight::Resting { .. }) || handle.executor() != executor {
        return None;
    }
    // Read before it is woken: a poll that comes of it counts.
    let polls = handle.all_polls();
    if woken == Woken::Now {
        handle.probe();
    }
    let what = What::Starved {
        polls,
        since: Tick::read(),
        executor,
    };
    Some(Found { handle, what })
}
