//! tokio's runtimes, as far as their stable interface goes.

use std::hash::{Hash, Hasher};

use tokio::runtime::Handle;
use tokio::task;

/// A runtime.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    handle: Handle,
    /// The number of the task in which it was asked for a dump, if that is of no interest itself.
    asker: Option<u64>,
}

/// What a runtime is known by: a number that is not 0, and not the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Runtime(u32);

/// What a task is to its executor: what it is known by there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Job {
    runtime: Runtime,
    /// 0 if it is polled by `block_on`.
    task: u64,
}

impl Host {
    /// The runtime that the caller is in, if any.
    pub(crate) fn current() -> Option<Self> {
        let handle = Handle::try_current().ok()?;
        Some(Self {
            handle,
            asker: None,
        })
    }

    /// The same, in the task of a connection that asks for a dump: that is not counted among those that are not
    /// traced.
    #[cfg(feature = "http")]
    pub(crate) fn of_asker() -> Option<Self> {
        let asker = task::try_id().map(number);
        Some(Self {
            asker,
            ..Self::current()?
        })
    }

    /// The number of the task that asks.
    pub(crate) fn asker(&self) -> Option<u64> {
        self.asker
    }

    /// How many tasks it has that have not finished. Those of a `LocalSet` are not among them.
    pub(crate) fn jobs(&self) -> usize {
        self.handle.metrics().num_alive_tasks()
    }

    /// The number that its tasks are noted with. Not 0.
    pub(crate) fn number(&self) -> u32 {
        self.runtime().0
    }

    /// What it is known by.
    pub(crate) fn runtime(&self) -> Runtime {
        Runtime::of(&self.handle)
    }
}

impl Runtime {
    fn of(handle: &Handle) -> Self {
        let number = number(handle.id());
        // tokio counts them. It does not come that far.
        let highest = u64::from(u32::MAX) - 1;
        Self(u32::try_from((number - 1) % highest + 1).unwrap_or(1))
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
        let runtime = Runtime::of(&Handle::try_current().ok()?);
        let task = task::try_id().map_or(0, number);
        Some(Self { runtime, task })
    }

    pub(crate) fn new(runtime: &Handle, task: task::Id) -> Self {
        Self {
            runtime: Runtime::of(runtime),
            task: number(task),
        }
    }

    /// Whether it is polled in this runtime.
    pub(crate) fn is_in(self, runtime: Runtime) -> bool {
        self.runtime == runtime
    }

    /// The runtime, and the task.
    pub(crate) fn numbers(self) -> (u32, u64) {
        (self.runtime.0, self.task)
    }

    /// The job that has had these numbers.
    #[expect(clippy::unnecessary_wraps, reason = "there are none without tokio")]
    pub(crate) fn from_numbers(runtime: u32, task: u64) -> Option<Self> {
        Some(Self {
            runtime: Runtime(runtime),
            task,
        })
    }
}

/// The number that an id of tokio's is, or is made of if it comes to be more than a number. Not 0.
///
/// tokio gives no numbers but to be printed, and to be hashed: and what is hashed is the number.
fn number(id: impl Hash) -> u64 {
    struct Written(u64);

    impl Hasher for Written {
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.write_u64(u64::from(*byte));
            }
        }

        fn write_u64(&mut self, number: u64) {
            // As it is, if it is the first.
            self.0 = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number;
        }

        fn finish(&self) -> u64 {
            self.0
        }
    }

    let mut written = Written(0);
    id.hash(&mut written);
    written.finish().max(1)
}
