//! Defines jobs: a subject, and the format in which to show it.

use std::time::Duration;

use super::backend::Caller;
use super::pprof;
use super::response::Policy;

/// The subject of a request: the data that the client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// No data, for documents that are always the same.
    Nothing,
    /// The process, and the number of its tasks. No task is polled.
    Process,
    /// All tasks.
    Tasks(CaptureMode),
    /// One task.
    Task {
        /// The number of the task, from the path of the request.
        number: u64,
        /// The way to get its state.
        mode: CaptureMode,
    },
    /// All tasks over a period.
    Profile {
        /// The length of the period.
        length: Duration,
        /// The way to get the state of the tasks.
        mode: CaptureMode,
        /// The time between two samples. If it is `None`, the backend decides.
        every: Option<Duration>,
    },
}

/// The way to get the state of the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureMode {
    /// Each task is polled.
    Capture,
    /// No task is polled.
    Snapshot,
}

/// The format of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Plain text.
    Text,
    /// Plain text, each task below the tasks that await it.
    Forest,
    /// JSON.
    Json,
    /// The data of the page, as JSON. The page and the library `tasktrace` agree on it. It may change with each
    /// version.
    View,
    /// The name, PID, age and number of tasks of the process, as JSON.
    Process,
    /// Folded stacks: text with one call path and its weight in each line.
    Folded(SampleWeight),
    /// A flamegraph, as SVG.
    Flamegraph(SampleWeight),
    /// The format of pprof, compressed with gzip.
    Pprof,
    /// The format of pprof, with the sample types of one of Go's profiles.
    GoPprof(GoProfile),
    /// A profile of Go without samples, in the format of pprof, with the sample types of memory.
    GoEmpty,
    /// The text of Go's `debug=1`: the number of tasks at each stack.
    GoCounted(GoProfile),
    /// The text of Go's `debug=2`: the stack of each task.
    GoStacks,
}

/// The weight of a call path in folded stacks and flamegraphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleWeight {
    /// The number of tasks.
    Tasks,
    /// The time that the tasks have been waiting.
    Waited,
}

/// One of the profiles of Go's `net/http/pprof` for which tasks have a counterpart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoProfile {
    /// All tasks.
    Goroutine,
    /// The time that tasks have been waiting.
    Block,
    /// The time that tasks have been waiting for locks.
    Mutex,
}

/// A subject and a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) subject: Subject,
    pub(super) format: Format,
}

/// A job, and the caller that requested it.
#[derive(Clone)]
pub(super) struct JobRequest {
    pub(super) job: Job,
    pub(super) caller: Caller,
}

/// Requests for the same job are equal, even of different callers.
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
            Self::Pprof | Self::GoPprof(_) | Self::GoEmpty => pprof::MEDIA,
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
            Self::GoPprof(_) | Self::GoEmpty => Some("profile.pb.gz"),
            _ => None,
        }
    }
}
