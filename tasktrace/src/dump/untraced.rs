//! Counts the tasks of each tokio runtime that are not traced.

use std::collections::{BTreeMap, HashSet};

use crate::runtime::RuntimeHandle;
use crate::task::{TaskId, TraceHandle, for_each_runtime};

/// The largest number of runtimes that are counted, including that of the caller.
const MAX_RUNTIMES: usize = 128;

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

/// Returns the number of untraced tasks on the runtime of a task, or 0 if that runtime is not known.
pub(crate) fn count_on_runtime_of(task: &TraceHandle) -> usize {
    let all: Vec<TraceHandle> = crate::task::tasks().collect();
    let count = count(None, std::slice::from_ref(task), &all);
    count.runtimes.iter().map(UntracedTasks::count).sum()
}

/// The untraced tasks of all runtimes.
#[derive(Debug, Default)]
pub(super) struct UntracedCounts {
    /// The number of untraced tasks on the runtime of the caller.
    pub(super) here: Option<usize>,
    /// The runtimes that have untraced tasks: first the caller's own, then the others in the order of their tasks.
    pub(super) runtimes: Vec<UntracedTasks>,
}

/// The traced tasks of one runtime.
#[derive(Default)]
struct TracedTasks {
    /// The traced task of the dump with the lowest number.
    first: Option<TaskId>,
    /// The runtime's ids of its tasks that contain at least one traced task.
    tasks: HashSet<u64>,
}

/// Returns, for each task that is in a runtime: the number of the runtime, the runtime's number of the task (0 for
/// `block_on`), and the id of the task.
fn runtime_tasks(handles: &[TraceHandle]) -> impl Iterator<Item = (u32, u64, TaskId)> {
    handles.iter().filter_map(|handle| {
        let (runtime, task) = handle.runtime_task()?.numbers();
        Some((runtime, task, handle.id()))
    })
}

/// Counts the untraced tasks on the runtime of the caller, and on the runtimes of the `shown` tasks. `all` are all
/// traced tasks, in the order of their numbers.
///
/// A count may be off by some tasks, because tasks start and end between the count of the runtime's tasks and the count
/// of the traced tasks. A traced task that was not spawned with a function of this crate counts as traced from its
/// first poll on.
pub(super) fn count(
    here: Option<&RuntimeHandle>,
    shown: &[TraceHandle],
    all: &[TraceHandle],
) -> UntracedCounts {
    let here_number = here.map(RuntimeHandle::number);
    // Each runtime is locked while its counters are read, so memory is allocated before that.
    let mut alive: Vec<(u32, usize)> = Vec::with_capacity(MAX_RUNTIMES);
    alive.extend(here.map(|runtime| (runtime.number(), runtime.alive_tasks())));
    for_each_runtime(|runtime| {
        let number = runtime.number();
        let is_known = alive.iter().any(|(known, _)| *known == number);
        if !is_known && alive.len() < MAX_RUNTIMES {
            alive.push((number, runtime.alive_tasks()));
        }
    });
    if alive.is_empty() {
        return UntracedCounts::default();
    }

    let mut traced: BTreeMap<u32, TracedTasks> = BTreeMap::new();
    for (runtime, _, id) in runtime_tasks(shown) {
        traced.entry(runtime).or_default().first.get_or_insert(id);
    }
    for (runtime, task, _) in runtime_tasks(all).filter(|(_, task, _)| *task != 0) {
        traced.entry(runtime).or_default().tasks.insert(task);
    }

    let mut count = UntracedCounts::default();
    for (runtime, task_count) in alive {
        let is_here = Some(runtime) == here_number;
        let traced = traced.remove(&runtime).unwrap_or_default();
        // The requester is a task that exists only to take this dump, so it does not count.
        let requester = here.filter(|_| is_here).and_then(RuntimeHandle::requester);
        let requester = requester.filter(|requester| !traced.tasks.contains(requester));
        let untraced =
            task_count.saturating_sub(traced.tasks.len() + usize::from(requester.is_some()));
        if is_here {
            count.here = Some(untraced);
        }
        // A runtime other than the caller's is listed only if a shown task is on it, because that task identifies it.
        if untraced > 0 && (is_here || traced.first.is_some()) {
            let untraced = UntracedTasks::new(traced.first, untraced);
            count.runtimes.push(untraced);
        }
    }
    let others = usize::from(count.here.is_some_and(|untraced| untraced > 0));
    count.runtimes[others..].sort_by_key(UntracedTasks::runtime_of);
    count
}
