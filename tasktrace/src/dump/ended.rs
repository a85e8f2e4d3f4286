//! Describes tasks that panicked or were dropped before they ended.

use std::panic::Location;
use std::sync::Arc;
use std::time::SystemTime;

use crate::runtime::RuntimeTaskId;
use crate::task::{EndedTaskInfo, TaskId};

/// A task that panicked, or was dropped before it ended: see [`Dump::ended`](crate::Dump::ended).
///
/// ```
/// for task in tasktrace::snapshot().ended() {
///     println!("task {} {}: {}", task.id(), task.name(), task.panic_message().unwrap_or(""));
/// }
/// ```
#[derive(Clone, Debug)]
pub struct EndedTask(EndedTaskInfo);

/// How a task has ended: see [`EndedTask::how`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HowEnded {
    /// A poll of the task panicked.
    Panicked,
    /// The task was aborted, or its future was dropped in another way, while it was suspended.
    Dropped,
}

impl EndedTask {
    /// Returns the number of the task.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.0.id
    }

    /// Returns the name of the task, as [`TaskDump::name`](crate::TaskDump::name) does.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.origin.name()
    }

    /// Returns the first 512 bytes of the task's label, if it was given one.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        let label = self.0.label.as_deref();
        label.or_else(|| self.0.origin.given_name())
    }

    /// Returns the location that spawned the task, if it is known.
    #[must_use]
    pub fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.0.spawned_at
    }

    /// Returns the task that spawned this one, if it is known.
    #[must_use]
    pub fn parent(&self) -> Option<TaskId> {
        self.0.parent
    }

    /// Returns how the task ended.
    #[must_use]
    pub fn how(&self) -> HowEnded {
        match self.0.panic {
            Some(_) => HowEnded::Panicked,
            None => HowEnded::Dropped,
        }
    }

    /// Returns the time at which the task ended.
    #[must_use]
    pub fn when(&self) -> SystemTime {
        self.0.when
    }

    /// Returns the first 512 bytes of the panic's message.
    ///
    /// The message is known in programs with `#[tasktrace::main]`, in tests with `#[tasktrace::test]`, and after
    /// [`panic_hook`](crate::panic_hook). It must be text, and no other panic hook may have replaced that of tasktrace.
    #[must_use]
    pub fn panic_message(&self) -> Option<&str> {
        self.0.panic.as_ref()?.message.as_deref()
    }

    /// Returns the file, the line and the column of the panic, if its message is known.
    #[must_use]
    pub fn panicked_at(&self) -> Option<(&str, u32, u32)> {
        let position = self.0.panic.as_ref()?.position.as_ref()?;
        Some((&position.file, position.line, position.column))
    }
}

impl EndedTask {
    /// Returns the runtime task that contained the task, or `None` if there was none or it is unknown.
    pub(crate) fn runtime_task(&self) -> Option<RuntimeTaskId> {
        self.0.runtime_task
    }
}

/// Returns all recorded ended tasks, the latest first.
pub(super) fn all() -> Arc<[EndedTask]> {
    crate::task::ended_tasks()
        .into_iter()
        .map(EndedTask)
        .collect()
}

#[cfg(test)]
impl EndedTask {
    /// Creates a task that ended at a fixed time: with a panic if there is a message, dropped otherwise.
    pub(crate) fn sample(id: u64, message: Option<&str>) -> Self {
        Self(EndedTaskInfo::sample(TaskId::from_number(id), message))
    }
}
