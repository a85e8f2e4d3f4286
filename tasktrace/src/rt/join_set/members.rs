//! Stores the tasks of a set, in the order in which they were spawned.

use std::collections::HashMap;
use std::fmt;
use std::sync::PoisonError;

use tokio::task::Id;

use crate::origin::TaskSet;
use crate::sync::map::{has_room, larger_map};
use crate::sync::{StaticMutex as Mutex, StaticMutexGuard as MutexGuard};
use crate::task::TraceHandle;

/// The tasks that were spawned into a set and not joined yet.
#[derive(Default)]
pub(super) struct Members(Mutex<Spawned>);

/// The spawned tasks, under the lock of [`Members`].
#[derive(Default)]
struct Spawned {
    /// The number of tasks that were ever spawned into the set.
    count: u64,
    /// The unjoined tasks, each with the value of `count` when it was spawned.
    tasks: HashMap<Id, (u64, TraceHandle)>,
}

impl Members {
    fn lock(&self) -> MutexGuard<'_, Spawned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn insert(&self, id: Id, task: TraceHandle) {
        let mut spare = HashMap::new();
        loop {
            let mut spawned = self.lock();
            if has_room(&mut spawned.tasks, 1, &mut spare) {
                let number = spawned.count;
                spawned.tasks.insert(id, (number, task));
                spawned.count += 1;
                return;
            }
            let length = spawned.tasks.len();
            drop(spawned);
            spare = larger_map(length, 1);
        }
    }

    pub(super) fn remove(&self, id: Id) {
        let removed = self.lock().tasks.remove(&id);
        drop(removed);
    }

    pub(super) fn clear(&self) {
        let removed = std::mem::take(&mut self.lock().tasks);
        drop(removed);
    }

    /// Returns the handles in the order in which the tasks were spawned.
    pub(super) fn handles(&self) -> Vec<TraceHandle> {
        let mut tasks: Vec<(u64, TraceHandle)> = Vec::new();
        loop {
            let spawned = self.lock();
            let length = spawned.tasks.len();
            if tasks.capacity() >= length {
                tasks.extend(spawned.tasks.values().cloned());
                break;
            }
            drop(spawned);
            tasks.reserve(length);
        }
        tasks.sort_unstable_by_key(|(number, _)| *number);
        tasks.into_iter().map(|(_, task)| task).collect()
    }
}

impl TaskSet for Members {
    fn unfinished(&self) -> Vec<u64> {
        let handles = self.handles().into_iter();
        let unfinished = handles.filter(|task| !task.is_finished());
        unfinished.map(|task| task.id().get()).collect()
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.lock().tasks.len();
        write!(f, "{length} tasks")
    }
}
