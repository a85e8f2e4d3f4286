//! Stores the runtime task that contains a task of tasktrace.

use crate::runtime::RuntimeTaskId;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// The two words of a task header that identify the runtime task.
///
/// The poller writes them, or the function that has spawned the task, whichever knows first. If both write at the same
/// time, they write the same values.
pub(super) struct RuntimeTaskCell<'a> {
    /// The number of the task in its runtime, or 0 if there is none.
    pub(super) task: &'a AtomicU64,
    /// The number of the runtime, [`UNKNOWN`], or [`NO_RUNTIME`].
    pub(super) runtime: &'a AtomicU32,
}

/// The number of a runtime that is not known yet.
pub(super) const UNKNOWN: u32 = 0;
/// The number that says that the task is in no runtime, or in no task that the runtime counts.
const NO_RUNTIME: u32 = u32::MAX;

impl RuntimeTaskCell<'_> {
    /// Stores what `find` returns, unless the runtime is already known.
    #[inline]
    pub(super) fn set(self, find: impl FnOnce() -> Option<RuntimeTaskId>) {
        if !RuntimeTaskId::IS_SUPPORTED || self.runtime.load(Ordering::Relaxed) != UNKNOWN {
            return;
        }
        let (runtime, task) = find().map_or((NO_RUNTIME, 0), RuntimeTaskId::numbers);
        self.task.store(task, Ordering::Relaxed);
        // Release: a thread that sees the runtime also sees the task.
        self.runtime.store(runtime, Ordering::Release);
    }

    /// Returns the runtime task, or `None` if there is none or it is unknown.
    pub(super) fn get(self) -> Option<RuntimeTaskId> {
        let runtime = self.runtime();
        (runtime != 0)
            .then(|| RuntimeTaskId::from_numbers(runtime, self.task.load(Ordering::Relaxed)))?
    }

    /// Returns the number of the runtime, or 0 if it is not known, or if there is none.
    pub(super) fn runtime(&self) -> u32 {
        match self.runtime.load(Ordering::Acquire) {
            NO_RUNTIME => 0,
            runtime => runtime,
        }
    }
}
