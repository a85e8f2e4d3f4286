//! tokio's runtimes, as far as their stable interface goes.

use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::runtime::{self, Handle};
use tokio::task;

/// A runtime.
#[derive(Clone, Debug)]
pub(crate) struct Host(Handle);

/// What a runtime is known by.
pub(crate) type Runtime = runtime::Id;

/// What a task is to its executor: what it is known by there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Job {
    runtime: Runtime,
    /// `None` if it is polled by `block_on`.
    task: Option<task::Id>,
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
        job.runtime == self.0.id() && job.task.is_some()
    }

    /// What it is known by.
    pub(crate) fn runtime(&self) -> Runtime {
        self.0.id()
    }
}

impl Job {
    /// Whether there is ever one to be known.
    pub(crate) const ARE_KNOWN: bool = true;

    /// What is being polled when this is called.
    ///
    /// A task of a `LocalSet`, and the closure of `spawn_blocking`, cannot be told from a task of the
    /// runtime.
    pub(crate) fn current() -> Option<Self> {
        let runtime = Handle::try_current().ok()?.id();
        let task = task::try_id();
        Some(Self { runtime, task })
    }

    /// A number that tells its runtime from others. Not 0.
    pub(crate) fn runtime_number(self) -> u64 {
        // The number of a runtime is not to be had, but for this.
        let mut hasher = DefaultHasher::new();
        self.runtime.hash(&mut hasher);
        hasher.finish().max(1)
    }

    pub(crate) fn new(runtime: &Handle, task: task::Id) -> Self {
        Self {
            runtime: runtime.id(),
            task: Some(task),
        }
    }

    /// Whether it is polled in this runtime.
    pub(crate) fn is_in(self, runtime: Runtime) -> bool {
        self.runtime == runtime
    }
}
