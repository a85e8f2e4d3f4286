//! All tasks at one moment: plain data.
//!
//! * [`take`]: taking it.
#![forbid(unsafe_code)]

mod take;

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

pub use take::{dump, dump_blocking, snapshot};

use crate::task::{TaskId, TaskState, TraceError};
use crate::trace::Trace;

/// Where all tasks are, at one moment.
#[derive(Clone, Debug)]
pub struct Dump {
    pub(crate) tasks: Vec<TaskDump>,
    /// Tasks of the runtime that are not traced, where that is known.
    pub(crate) untraced: Option<usize>,
}

/// One task in a [`Dump`].
#[derive(Clone, Debug)]
pub struct TaskDump {
    pub(crate) id: TaskId,
    pub(crate) name: Arc<str>,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) state: TaskState,
    pub(crate) age: Duration,
    /// Since the end of its last poll, or the beginning of the one that it is in.
    pub(crate) last_polled: Option<Duration>,
    pub(crate) polls: u64,
    pub(crate) spawned_at: Option<&'static Location<'static>>,
    pub(crate) parent: Option<TaskId>,
    /// The tasks whose handles it awaits.
    pub(crate) awaits: Vec<TaskId>,
    pub(crate) trace: Trace,
    pub(crate) source: Source,
}

/// Where a trace in a [`Dump`] is from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The task was polled for it, so it leads to the lines and the resources waited for.
    Capture,
    /// Nothing was polled: it consists of the live frames.
    Snapshot {
        /// Why the task gave no answer, if it was asked.
        error: Option<TraceError>,
    },
}
