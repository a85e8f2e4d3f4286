//! Defines jobs: a subject, and the format in which to show it.

use std::time::Duration;

use super::pprof;
use super::response::{Policy, Refusal};
use crate::render::{GoProfile, Weight};
use crate::runtime::RuntimeHandle;
use crate::task::{TaskId, TraceHandle, tasks};

/// The subject of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// All tasks.
    Tasks(CaptureMode),
    /// The task with this number.
    Task(u64, CaptureMode),
    /// All tasks over this time, with this interval, if one is given.
    Profile(Duration, CaptureMode, Option<Duration>),
}

/// The way to get the state of the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CaptureMode {
    /// Each task is polled.
    Capture,
    /// No task is polled.
    Snapshot,
}

/// The format of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Plain text.
    Text,
    /// Plain text, each task below the tasks that await it.
    Forest,
    Json,
    /// The data of the page.
    View,
    /// The data of the process.
    Process,
    Folded(Weight),
    Flamegraph(Weight),
    Pprof,
    /// The formats of Go's paths.
    GoPprof(GoProfile),
    GoCounted(GoProfile),
    GoStacks,
}

/// A subject and a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) subject: Subject,
    pub(super) format: Format,
}

/// A job, and the runtime that it was requested in.
#[derive(Clone)]
pub(super) struct JobRequest {
    pub(super) job: Job,
    /// The runtime whose untraced tasks are counted.
    pub(super) runtime: Option<RuntimeHandle>,
}

/// Requests for the same job are equal, even in different runtimes.
impl PartialEq for JobRequest {
    fn eq(&self, other: &Self) -> bool {
        self.job == other.job
    }
}

impl Format {
    /// Returns the media type.
    pub(super) fn media(self) -> &'static str {
        match self {
            Self::Text | Self::Forest | Self::Folded(_) | Self::GoCounted(_) | Self::GoStacks => {
                "text/plain; charset=utf-8"
            }
            Self::Flamegraph(_) => "image/svg+xml",
            Self::Pprof | Self::GoPprof(_) => pprof::MEDIA,
            Self::Json | Self::View | Self::Process => "application/json",
        }
    }

    /// Returns the content security policy.
    pub(super) fn policy(self) -> Policy {
        match self {
            Self::Flamegraph(_) => Policy::Sandbox,
            _ => Policy::Nothing,
        }
    }

    /// Returns the file name under which a browser saves the response, if it should.
    pub(super) fn file(self) -> Option<&'static str> {
        match self {
            Self::Pprof => Some("tasks.pb.gz"),
            Self::GoPprof(_) => Some("profile.pb.gz"),
            _ => None,
        }
    }
}

impl Subject {
    /// Checks that the subject exists.
    ///
    /// # Errors
    ///
    /// Returns an error if it does not.
    pub(super) fn check(self) -> Result<(), Refusal> {
        match self {
            Self::Tasks(_) | Self::Profile(..) => Ok(()),
            Self::Task(id, _) => task(id).map(drop),
        }
    }

    /// Returns the way to get the state of the tasks.
    pub(super) fn capture_mode(self) -> CaptureMode {
        match self {
            Self::Tasks(capture_mode)
            | Self::Task(_, capture_mode)
            | Self::Profile(_, capture_mode, _) => capture_mode,
        }
    }
}

/// Returns the task with this number.
///
/// # Errors
///
/// Returns an error if there is no such task.
pub(super) fn task(id: u64) -> Result<TraceHandle, Refusal> {
    let id = TaskId::from_number(id);
    let gone = || Refusal::not_found(format!("there is no task {id}: it may have ended"));
    tasks().find(|task| task.id() == id).ok_or_else(gone)
}
