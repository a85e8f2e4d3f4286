//! tokio's runtimes, as far as their stable interface goes.

use tokio::runtime::{self, Handle};
use tokio::task;

/// A runtime.
#[derive(Clone, Debug)]
pub(crate) struct Host(Handle);

/// A task, as the runtime knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Job {
    runtime: runtime::Id,
    task: task::Id,
}

impl Host {
    /// The runtime that the caller is in, if any.
    pub(crate) fn current() -> Option<Self> {
        Handle::try_current().ok().map(Self)
    }

    /// How many tasks it has that have not finished. Those of a `LocalSet` are not among them.
    pub(crate) fn jobs(&self) -> usize {
        self.0.metrics().num_alive_tasks()
    }

    /// Whether it is one of its tasks.
    pub(crate) fn has(&self, job: Job) -> bool {
        job.runtime == self.0.id()
    }
}

impl Job {
    /// Whether there is ever one to be known.
    pub(crate) const ARE_KNOWN: bool = true;

    /// The task in whose poll this is called.
    ///
    /// `None` in `block_on`. A task of a `LocalSet`, and the closure of `spawn_blocking`, cannot be
    /// told from a task of the runtime.
    pub(crate) fn current() -> Option<Self> {
        let task = task::try_id()?;
        let runtime = Handle::try_current().ok()?.id();
        Some(Self { runtime, task })
    }

    pub(crate) fn new(runtime: &Handle, task: task::Id) -> Self {
        Self {
            runtime: runtime.id(),
            task,
        }
    }
}
