//! What can be asked for: something to look at, and a form to show it in.

use std::time::Duration;

use super::pprof;
use super::response::{Policy, Refusal};
use crate::host::Host;
use crate::render::{GoProfile, Weight};
use crate::task::{TaskId, TraceHandle, tasks};

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// All tasks.
    Tasks(Asking),
    /// The one with this number.
    Task(u64, Asking),
    /// All tasks, for so long, and how often if that is said.
    Time(Duration, Asking, Option<Duration>),
}

/// Whether they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    /// Each is polled for it.
    Polled,
    /// Nothing is polled.
    LookedAt,
}

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For readers.
    Text,
    /// Each task below those that await it.
    Forest,
    Json,
    /// For the page.
    View,
    /// What the process says of itself.
    Process,
    Folded(Weight),
    Flamegraph(Weight),
    Pprof,
    /// As at Go's addresses.
    GoPprof(GoProfile),
    GoCounted(GoProfile),
    GoStacks,
}

/// The two together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) subject: Subject,
    pub(super) form: Form,
}

/// A job of somebody in an executor.
#[derive(Clone)]
pub(super) struct Order {
    pub(super) job: Job,
    /// Whose tasks are counted.
    pub(super) host: Option<Host>,
}

/// Two in different executors get the same.
impl PartialEq for Order {
    fn eq(&self, other: &Self) -> bool {
        self.job == other.job
    }
}

impl Form {
    /// The type of its media.
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

    /// What it may do in a browser.
    pub(super) fn policy(self) -> Policy {
        match self {
            Self::Flamegraph(_) => Policy::Sandbox,
            _ => Policy::Nothing,
        }
    }

    /// What it is called when it is saved, if that is what is done with it.
    pub(super) fn file(self) -> Option<&'static str> {
        match self {
            Self::Pprof => Some("tasks.pb.gz"),
            Self::GoPprof(_) => Some("profile.pb.gz"),
            _ => None,
        }
    }
}

impl Subject {
    /// Whether there is such a thing.
    ///
    /// # Errors
    ///
    /// If not.
    pub(super) fn check(self) -> Result<(), Refusal> {
        match self {
            Self::Tasks(_) | Self::Time(..) => Ok(()),
            Self::Task(id, _) => task(id).map(drop),
        }
    }

    /// Whether they are asked for it.
    pub(super) fn asking(self) -> Asking {
        match self {
            Self::Tasks(asking) | Self::Task(_, asking) | Self::Time(_, asking, _) => asking,
        }
    }
}

/// The task with this number.
pub(super) fn task(id: u64) -> Result<TraceHandle, Refusal> {
    let id = TaskId::from_number(id);
    let gone = || Refusal::not_found(format!("there is no task {id}, or not any more"));
    tasks().find(|task| task.id() == id).ok_or_else(gone)
}
