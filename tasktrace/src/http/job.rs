//! A job: a subject, and the form in which to show it.

use std::time::Duration;

use super::pprof;
use super::response::{Policy, Refusal};
use crate::host::Host;
use crate::render::{GoProfile, Weight};
use crate::task::{TaskId, TraceHandle, tasks};

/// The subject of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// All tasks.
    Tasks(Asking),
    /// The task with this number.
    Task(u64, Asking),
    /// All tasks over this time, with this interval, if one is given.
    Time(Duration, Asking, Option<Duration>),
}

/// Whether the tasks are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    /// Each task is polled.
    Polled,
    /// No task is polled.
    LookedAt,
}

/// The form of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
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

/// A subject and a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) subject: Subject,
    pub(super) form: Form,
}

/// A job, and the runtime that it was requested in.
#[derive(Clone)]
pub(super) struct JobRequest {
    pub(super) job: Job,
    /// The runtime whose untraced tasks are counted.
    pub(super) host: Option<Host>,
}

/// Requests for the same job are equal, even in different runtimes.
impl PartialEq for JobRequest {
    fn eq(&self, other: &Self) -> bool {
        self.job == other.job
    }
}

impl Form {
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
            Self::Tasks(_) | Self::Time(..) => Ok(()),
            Self::Task(id, _) => task(id).map(drop),
        }
    }

    /// Returns whether the tasks are asked.
    pub(super) fn asking(self) -> Asking {
        match self {
            Self::Tasks(asking) | Self::Task(_, asking) | Self::Time(_, asking, _) => asking,
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
    let gone = || Refusal::not_found(format!("there is no task {id}, or not any more"));
    tasks().find(|task| task.id() == id).ok_or_else(gone)
}
