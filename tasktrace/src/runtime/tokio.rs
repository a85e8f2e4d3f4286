//! Identifies the runtimes and tasks of tokio, by its stable interface.

use std::hash::{Hash, Hasher};

use tokio::runtime::Handle;
use tokio::task;

/// A handle of a tokio runtime.
#[derive(Clone, Debug)]
pub(crate) struct RuntimeHandle {
    handle: Handle,
    /// The number of the task that requests a dump, if that task is to be left out of the dump.
    requester: Option<u64>,
}

/// The id of a runtime: a number that is neither 0 nor the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RuntimeId(u32);

/// The id of a task of a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RuntimeTaskId {
    runtime: RuntimeId,
    /// The number of the task, or 0 for the future that `block_on` polls.
    task: u64,
}

impl RuntimeHandle {
    /// Returns a handle of the runtime that the caller is in, if any.
    pub(crate) fn current() -> Option<Self> {
        let handle = Handle::try_current().ok()?;
        Some(Self {
            handle,
            requester: None,
        })
    }

    /// Returns a handle of the runtime that the caller is in, for the task of a connection that requests a dump. The
    /// dump does not count this task among the tasks that are not traced.
    #[cfg(feature = "http")]
    pub(crate) fn of_requester() -> Option<Self> {
        let requester = task::try_id().map(number);
        Some(Self {
            requester,
            ..Self::current()?
        })
    }

    /// Returns the number of the task that requests a dump, if it is to be left out.
    pub(crate) fn requester(&self) -> Option<u64> {
        self.requester
    }

    /// Returns the number of tasks that have not finished. It does not include the tasks of a `LocalSet`.
    pub(crate) fn alive_tasks(&self) -> usize {
        self.handle.metrics().num_alive_tasks()
    }

    /// Returns the number of the runtime, which is not 0.
    pub(crate) fn number(&self) -> u32 {
        self.id().0
    }

    pub(crate) fn id(&self) -> RuntimeId {
        RuntimeId::of(&self.handle)
    }
}

impl RuntimeId {
    fn of(handle: &Handle) -> Self {
        Self::from_number(number(handle.id()))
    }

    fn from_number(number: u64) -> Self {
        // tokio numbers its runtimes from 1 on, so in practice the number is not changed.
        let highest = u64::from(u32::MAX) - 1;
        Self(u32::try_from((number - 1) % highest + 1).unwrap_or(1))
    }

    /// Returns `true` if it is the id of the runtime with this number of tokio, which is not 0.
    #[cfg(feature = "inspect")]
    pub(crate) fn is_number(self, number: u64) -> bool {
        self == Self::from_number(number)
    }
}

impl RuntimeTaskId {
    /// `true` if the executor reveals the ids of its tasks.
    pub(crate) const IS_SUPPORTED: bool = true;

    /// Returns the id of the task that is being polled.
    ///
    /// A task of a `LocalSet` and the closure of `spawn_blocking` cannot be distinguished from a task of the runtime.
    pub(crate) fn current() -> Option<Self> {
        let runtime = RuntimeId::of(&Handle::try_current().ok()?);
        let task = task::try_id().map_or(0, number);
        Some(Self { runtime, task })
    }

    pub(crate) fn new(runtime: &Handle, task: task::Id) -> Self {
        Self {
            runtime: RuntimeId::of(runtime),
            task: number(task),
        }
    }

    /// Returns `true` if the task belongs to this runtime.
    pub(crate) fn is_in(self, runtime: RuntimeId) -> bool {
        self.runtime == runtime
    }

    /// Returns the numbers of the runtime and of the task.
    pub(crate) fn numbers(self) -> (u32, u64) {
        (self.runtime.0, self.task)
    }

    /// Returns the id with these numbers.
    #[expect(clippy::unnecessary_wraps, reason = "without tokio, there is no id")]
    pub(crate) fn from_numbers(runtime: u32, task: u64) -> Option<Self> {
        Some(Self {
            runtime: RuntimeId(runtime),
            task,
        })
    }
}

/// Returns the number of an id of tokio, which is not 0. If a later version hashes more than a number, mixes the hashed
/// words into one.
///
/// tokio's ids reveal their numbers only to formatters and hashers. A hasher gets the number itself.
fn number(id: impl Hash) -> u64 {
    struct HashedNumber(u64);

    impl Hasher for HashedNumber {
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.write_u64(u64::from(*byte));
            }
        }

        fn write_u64(&mut self, number: u64) {
            // The first word is kept as it is.
            self.0 = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number;
        }

        fn finish(&self) -> u64 {
            self.0
        }
    }

    let mut hashed = HashedNumber(0);
    id.hash(&mut hashed);
    hashed.finish().max(1)
}
