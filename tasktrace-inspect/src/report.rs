//! Reports: plain data, as text through `Display` and as JSON through serde.

use std::ops::Deref;
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::text::Text;

/// The tasks of a program, and the places at which they wait.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The format: `tasktrace.inspect/1`.
    pub schema: &'static str,
    /// The memory that was read.
    pub source: Source,
    /// The number of runtimes and local sets of tokio.
    pub runtimes: usize,
    /// Tasks that wait for each other, so that none of them can continue. This is likely, not proven: the crate docs
    /// say what was checked. Cycles of tasks that may go on are counted in `missing`.
    pub deadlocks: Vec<Deadlock>,
    /// The tasks, by number.
    pub tasks: Vec<Task>,
    /// Parts that are missing, with the reasons.
    pub missing: Vec<Missing>,
}

/// The memory that was read.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Source {
    /// The number of the process. A core file has none.
    pub pid: Option<u32>,
    /// The executable.
    pub executable: String,
    /// The way in which the memory was read.
    pub kind: SourceKind,
    /// When reading began, in seconds since 1970.
    pub read_at: f64,
    /// The time that reading memory took, in milliseconds.
    pub read_ms: f64,
    /// The time that reading debug info took, in milliseconds.
    pub index_ms: f64,
}

/// The way in which memory was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SourceKind {
    /// From a process that continued to run.
    Running,
    /// From this process.
    Own,
    /// From a process that was stopped while it was read.
    Frozen,
    /// From a core file.
    Core,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Task {
    /// The number that tokio gives to it.
    pub id: Option<u64>,
    /// The number of the [`Root`](crate::Root) whose future this is, or whose future is in this task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<u64>,
    /// The number of the runtime or of the local set that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<u64>,
    /// Its number and its name in texts.
    #[serde(skip)]
    pub title: String,
    /// The function that it runs.
    pub name: Text,
    /// Its state.
    pub state: TaskState,
    /// Its address in memory.
    pub address: String,
    /// The tree of futures that it waits for.
    pub frames: Vec<Frame>,
    /// Locks and permits that it holds while it waits.
    pub holds: Vec<Held>,
    /// The reason for which there are no frames, or for which they may be wrong.
    pub problem: Option<String>,
}

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TaskState {
    /// It waits.
    Suspended,
    /// It was woken, and waits for a thread that polls it.
    Notified,
    /// A thread polls it.
    Running,
    /// It has ended, and its result was not taken.
    Finished,
    /// It is the closure of a `spawn_blocking`.
    Blocking,
    /// It is the future that a thread blocks on.
    BlockOn,
}

/// A future in the tree of a task.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Frame {
    /// The function or the resource, and where it waits. Tasks that wait at the same place share it.
    pub label: Arc<FrameLabel>,
    /// The state of what is waited for.
    pub wait: Option<Box<Wait>>,
    /// The futures that are awaited.
    pub children: Vec<Frame>,
}

/// The part of a [`Frame`] that does not depend on the task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameLabel {
    /// The function or the resource.
    pub name: Text,
    /// The source file.
    pub file: Option<Text>,
    /// The line of the `.await`.
    pub line: Option<u64>,
    /// A remark, such as the macro that the `.await` is in.
    pub note: Option<Text>,
}

impl Deref for Frame {
    type Target = FrameLabel;

    fn deref(&self) -> &FrameLabel {
        &self.label
    }
}

impl Serialize for Frame {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut frame = serializer.serialize_struct("Frame", 6)?;
        frame.serialize_field("name", &self.name)?;
        frame.serialize_field("file", &self.file)?;
        frame.serialize_field("line", &self.line)?;
        frame.serialize_field("note", &self.note)?;
        frame.serialize_field("wait", &self.wait)?;
        frame.serialize_field("children", &self.children)?;
        frame.end()
    }
}

/// The state of what is waited for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Wait {
    /// The kind of resource.
    pub kind: WaitKind,
    /// The state in words.
    pub text: String,
    /// Its address in memory.
    pub address: Option<String>,
    /// The task that is waited for.
    pub task: Option<u64>,
    /// The tasks that hold what is waited for. If the lock is exclusive and there are several, one of them holds it:
    /// the others have variables that were moved out of.
    pub holders: Vec<Holder>,
}

/// The kind of what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WaitKind {
    /// A timer.
    Sleep,
    /// A lock or a semaphore.
    Permits,
    /// Messages, or room for one.
    Channel,
    /// One value.
    Oneshot,
    /// Another task.
    Join,
    /// Any of several tasks.
    JoinSet,
    /// A notification.
    Notify,
    /// A socket or a file.
    Socket,
    /// A thread for blocking work.
    Thread,
}

/// A task that holds what another waits for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Holder {
    /// The number of the task.
    pub task: Option<u64>,
    /// The number of the [`Root`](crate::Root) whose future is in the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<u64>,
    /// The task in texts: `task 7`.
    #[serde(skip)]
    pub noun: String,
    /// The lock or the permit.
    #[serde(flatten)]
    pub held: Held,
    /// The resource that the holder waits for itself.
    pub waits_for: Option<String>,
}

/// A lock or permits that a suspended future holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Held {
    /// The kind of guard.
    pub kind: HeldKind,
    /// The function whose variable the guard is.
    pub function: String,
    /// The source file.
    pub file: Option<String>,
    /// The line at which the function waits.
    pub line: Option<u64>,
    /// The variable that the guard is, or is in.
    pub variable: String,
    /// The semaphore of the lock.
    pub address: String,
    /// `false` for a future that was polled before, and that its task does not poll now.
    pub is_polled: bool,
}

/// The kind of what is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HeldKind {
    /// A mutex.
    Mutex,
    /// A lock for readers.
    Read,
    /// A lock for a writer, or for a reader or a waiting writer that keeps other writers out.
    Write,
    /// Permits of a semaphore.
    Permit,
    /// Permits that were handed to a future which has not been polled since.
    Granted,
}

impl HeldKind {
    /// Returns `true` if no other task can hold the lock at the same time.
    #[must_use]
    pub fn is_exclusive(self) -> bool {
        matches!(self, Self::Mutex | Self::Write | Self::Granted)
    }
}

/// Tasks that wait for each other in a cycle.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Deadlock {
    /// The tasks: each waits for the next, the last for the first.
    pub tasks: Vec<Option<u64>>,
    /// The indices of these tasks in [`Report::tasks`].
    #[serde(skip)]
    pub indices: Vec<usize>,
    /// The cycle in words.
    pub text: String,
}

/// Something that is missing in a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Missing {
    /// The number of missing parts.
    pub count: usize,
    /// The reason.
    pub reason: String,
}

impl Report {
    /// Returns the number of tasks without a problem.
    #[must_use]
    pub fn decoded(&self) -> usize {
        let decoded = self.tasks.iter().filter(|task| task.problem.is_none());
        decoded.count()
    }
}
