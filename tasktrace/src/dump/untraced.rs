//! Counts the tasks of each tokio runtime that are not traced.

use std::collections::{BTreeMap, HashSet};

use crate::host::Host;
use crate::task::{TaskId, TraceHandle, for_each_runtime};

/// The largest number of runtimes that are counted, including that of the caller.
const MOST: usize = 128;

/// The number of untraced tasks of one runtime: see [`Dump::untraced_by_runtime`](crate::Dump::untraced_by_runtime).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntracedTasks {
    runtime_of: Option<TaskId>,
    count: usize,
}

impl UntracedTasks {
    pub(crate) fn new(runtime_of: Option<TaskId>, count: usize) -> Self {
        Self { runtime_of, count }
    }

    /// Returns the number of untraced tasks, which is never 0.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the traced task with the lowest number on the same runtime.
    ///
    /// Returns `None` if that runtime has no traced task. It is then the runtime that the caller of the dump was in.
    #[must_use]
    pub fn runtime_of(&self) -> Option<TaskId> {
        self.runtime_of
    }
}

/// Returns the number of untraced tasks on the runtime of this task, or 0 if it is not known.
pub(crate) fn beside(task: &TraceHandle) -> usize {
    let all: Vec<TraceHandle> = crate::task::tasks().collect();
    let count = count(None, std::slice::from_ref(task), &all);
    count.runtimes.iter().map(UntracedTasks::count).sum()
}

/// The untraced tasks of all runtimes.
#[derive(Debug, Default)]
pub(super) struct Count {
    /// The number for the runtime that the caller is in.
    pub(super) here: Option<usize>,
    /// The runtimes that have untraced tasks: first the caller's own, then the others in the order of their tasks.
    pub(super) runtimes: Vec<UntracedTasks>,
}

/// The traced tasks of one runtime.
#[derive(Default)]
struct Traced {
    first: Option<TaskId>,
    /// Several tasks of ours may be in one of the runtime's.
    tasks: HashSet<u64>,
}

/// The runtime of each task that is in one, the runtime's task, which is 0 for `block_on`, and the task.
fn jobs(handles: &[TraceHandle]) -> impl Iterator<Item = (u32, u64, TaskId)> {
    handles.iter().filter_map(|handle| {
        let (runtime, task) = handle.job()?.numbers();
        Some((runtime, task, handle.id()))
    })
}

/// Counts the tasks that are not traced, on the runtime of the caller and on those of the tasks that are
/// `shown`. `all` are all tasks, in the order of their numbers.
///
/// Tasks come and go between this count and that, so it may be off by some. One that has been
/// spawned by other means than ours is known to be traced from its first poll on.
pub(super) fn count(here: Option<&Host>, shown: &[TraceHandle], all: &[TraceHandle]) -> Count {
    let here_number = here.map(Host::number);
    // The runtimes are locked one by one while their counters are read, so there is room beforehand.
    let mut alive: Vec<(u32, usize)> = Vec::with_capacity(MOST);
    alive.extend(here.map(|host| (host.number(), host.jobs())));
    for_each_runtime(|host| {
        let number = host.number();
        let is_known = alive.iter().any(|(known, _)| *known == number);
        if !is_known && alive.len() < MOST {
            alive.push((number, host.jobs()));
        }
    });
    if alive.is_empty() {
        return Count::default();
    }

    let mut traced: BTreeMap<u32, Traced> = BTreeMap::new();
    for (runtime, _, id) in jobs(shown) {
        traced.entry(runtime).or_default().first.get_or_insert(id);
    }
    for (runtime, task, _) in jobs(all).filter(|(_, task, _)| *task != 0) {
        traced.entry(runtime).or_default().tasks.insert(task);
    }

    let mut count = Count::default();
    for (runtime, jobs) in alive {
        let is_here = Some(runtime) == here_number;
        let traced = traced.remove(&runtime).unwrap_or_default();
        // That is there only to ask.
        let asker = here.filter(|_| is_here).and_then(Host::asker);
        let asker = asker.filter(|asker| !traced.tasks.contains(asker));
        let untraced = jobs.saturating_sub(traced.tasks.len() + usize::from(asker.is_some()));
        if is_here {
            count.here = Some(untraced);
        }
        // Other runtimes are known only by these tasks.
        if untraced > 0 && (is_here || traced.first.is_some()) {
            let untraced = UntracedTasks::new(traced.first, untraced);
            count.runtimes.push(untraced);
        }
    }
    let others = usize::from(count.here.is_some_and(|untraced| untraced > 0));
    count.runtimes[others..].sort_by_key(UntracedTasks::runtime_of);
    count
}
