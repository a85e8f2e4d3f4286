//! Reads where tasks wait from the memory of this process (feature `inspect`): tasks that are not traced, tasks that do
//! not answer, and who holds a lock.
//!
//! [`Dump::inspected`](crate::Dump::inspected) returns an [`Inspection`]. The types of its report are those of the
//! crate `tasktrace-inspect`, which does the reading.
//!
//! The debug info of the program is read once, on a thread that the first dump starts. That thread then reads the
//! memory for each dump, by a system call that fails where there is no memory. It never stops, polls or writes to a
//! task. A task that is polled meanwhile is read again, and if that does not help, the report says so.

mod inspection;
mod reader;

pub use inspection::Inspection;
pub(crate) use inspection::{HeldWait, held_waits, leaves};
pub(crate) use reader::{TIME_TO_READ, prepare, read};
pub use tasktrace_inspect::{
    Deadlock, Frame, Held, HeldKind, Holder, Missing, Report, Task, TaskState, Wait, WaitKind,
};
