//! Stands in for the executor without the feature `tokio`: no runtime and no runtime task is known.

/// A handle of a runtime, of which there is none.
#[derive(Clone, Debug)]
pub(crate) enum RuntimeHandle {}

/// The id of a runtime, of which there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RuntimeId {}

/// The id of a task of a runtime, of which there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RuntimeTaskId {}

impl RuntimeHandle {
    pub(crate) fn current() -> Option<Self> {
        None
    }

    #[cfg(feature = "http")]
    pub(crate) fn of_requester() -> Option<Self> {
        None
    }

    pub(crate) fn requester(&self) -> Option<u64> {
        match *self {}
    }

    pub(crate) fn alive_tasks(&self) -> usize {
        match *self {}
    }

    pub(crate) fn number(&self) -> u32 {
        match *self {}
    }

    pub(crate) fn id(&self) -> RuntimeId {
        match *self {}
    }
}

#[cfg(feature = "inspect")]
impl RuntimeId {
    pub(crate) fn is_number(self, _number: u64) -> bool {
        match self {}
    }
}

impl RuntimeTaskId {
    /// `true` if the executor reveals the ids of its tasks.
    pub(crate) const IS_SUPPORTED: bool = false;

    pub(crate) fn current() -> Option<Self> {
        None
    }

    pub(crate) fn is_in(self, _runtime: RuntimeId) -> bool {
        match self {}
    }

    /// Returns the numbers of the runtime and of the task.
    pub(crate) fn numbers(self) -> (u32, u64) {
        match self {}
    }

    /// Returns the id with these numbers.
    pub(crate) fn from_numbers(_runtime: u32, _task: u64) -> Option<Self> {
        None
    }
}
