//! In which task of the executor a task is.

use crate::host::Job;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Written when it becomes known, by the poller or by who has spawned the task. Should both do so at the
/// same time, then they write the same.
pub(super) struct JobCell<'a> {
    /// What the executor knows it by. 0 if it is none of its tasks.
    pub(super) task: &'a AtomicU64,
    /// The number of the runtime, [`UNKNOWN`], or [`NOWHERE`].
    pub(super) runtime: &'a AtomicU32,
}

pub(super) const UNKNOWN: u32 = 0;
/// It is known that it is in no runtime, or not a task that one counts.
const NOWHERE: u32 = u32::MAX;

impl JobCell<'_> {
    /// Notes it, if nobody has.
    #[inline]
    pub(super) fn set(self, job: impl FnOnce() -> Option<Job>) {
        if !Job::ARE_KNOWN || self.runtime.load(Ordering::Relaxed) != UNKNOWN {
            return;
        }
        let (runtime, task) = job().map_or((NOWHERE, 0), Job::numbers);
        self.task.store(task, Ordering::Relaxed);
        // Release: whoever sees that it is known sees what it is.
        self.runtime.store(runtime, Ordering::Release);
    }

    /// `None` if it is not known, or if there is none.
    pub(super) fn get(self) -> Option<Job> {
        let runtime = self.runtime();
        (runtime != 0).then(|| Job::from_numbers(runtime, self.task.load(Ordering::Relaxed)))?
    }

    /// The number of the runtime. 0 if it is not known, or if there is none.
    pub(super) fn runtime(&self) -> u32 {
        match self.runtime.load(Ordering::Acquire) {
            NOWHERE => 0,
            runtime => runtime,
        }
    }
}
