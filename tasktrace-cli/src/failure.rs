//! Defines the failures of a command, with their exit codes and messages.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::output::visible;

/// The reason why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A failure without an exit code of its own.
    Other(String),
    /// The command is not valid, or is incomplete.
    Usage(String),
    NoProcess(String),
    NoPermission(String),
    NotInstrumented(String),
    NoAnswer(String),
    /// The reader of the output has closed it. The program ends without an error.
    OutputClosed,
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Other(_) => 1,
            Self::Usage(_) => 2,
            Self::NoProcess(_) => 3,
            Self::NoPermission(_) => 4,
            Self::NotInstrumented(_) => 5,
            Self::NoAnswer(_) => 6,
        }
    }

    /// Returns the name of the failure in JSON.
    fn kind(&self) -> &'static str {
        match self {
            Self::OutputClosed => "nobody_reads",
            Self::Other(_) => "failure",
            Self::Usage(_) => "usage",
            Self::NoProcess(_) => "no_such_process",
            Self::NoPermission(_) => "no_permission",
            Self::NotInstrumented(_) => "not_instrumented",
            Self::NoAnswer(_) => "no_answer",
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    /// Returns the failure to write to a file.
    pub(crate) fn writing(to: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            io::ErrorKind::PermissionDenied => Self::NoPermission(format!(
                "{} cannot be written: {error}",
                visible(&to.display().to_string())
            )),
            _ => Self::Other(format!(
                "{} cannot be written: {error}",
                visible(&to.display().to_string())
            )),
        }
    }

    /// Returns the failure as one line of JSON.
    pub(crate) fn json(&self) -> String {
        let error = json!({
            "error": { "code": self.code(), "kind": self.kind(), "message": self.to_string() },
        });
        error.to_string()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutputClosed => f.write_str("the reader closed the output"),
            Self::Other(text)
            | Self::Usage(text)
            | Self::NoProcess(text)
            | Self::NoPermission(text)
            | Self::NotInstrumented(text)
            | Self::NoAnswer(text) => f.write_str(text),
        }
    }
}

/// Returns the failure to write to the standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::writing(Path::new("the standard output"), &error)
    }
}
