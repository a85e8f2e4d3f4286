//! Executors of which nothing is known.

/// An executor.
#[derive(Clone, Debug)]
pub(crate) enum Host {}

/// What a runtime is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Runtime {}

/// A task, as the executor knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Job {}

impl Host {
    pub(crate) fn current() -> Option<Self> {
        None
    }

    #[cfg(feature = "http")]
    pub(crate) fn of_asker() -> Option<Self> {
        None
    }

    pub(crate) fn asker(&self) -> Option<u64> {
        match *self {}
    }

    pub(crate) fn jobs(&self) -> usize {
        match *self {}
    }

    pub(crate) fn number(&self) -> u32 {
        match *self {}
    }

    pub(crate) fn runtime(&self) -> Runtime {
        match *self {}
    }
}

impl Job {
    /// Whether there is ever one to be known.
    pub(crate) const ARE_KNOWN: bool = false;

    pub(crate) fn current() -> Option<Self> {
        None
    }

    pub(crate) fn is_in(self, _runtime: Runtime) -> bool {
        match self {}
    }

    /// The runtime, and the task.
    pub(crate) fn numbers(self) -> (u32, u64) {
        match self {}
    }

    /// The job that has had these numbers.
    pub(crate) fn from_numbers(_runtime: u32, _task: u64) -> Option<Self> {
        None
    }
}
