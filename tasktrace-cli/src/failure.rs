//! What can go wrong, the exit code of each, and what to do about it.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::output::visible;

/// Why a command was not carried out.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Whatever has no code of its own.
    Other(String),
    /// The command is wrong, or says too little.
    Usage(String),
    NoProcess(String),
    NoPermission(String),
    NotInstrumented(String),
    NoAnswer(String),
    /// Nobody reads what we write: there is nothing more to do, and nothing wrong.
    NobodyReads,
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::NobodyReads => 0,
            Self::Other(_) => 1,
            Self::Usage(_) => 2,
            Self::NoProcess(_) => 3,
            Self::NoPermission(_) => 4,
            Self::NotInstrumented(_) => 5,
            Self::NoAnswer(_) => 6,
        }
    }

    /// What scripts know it by.
    fn kind(&self) -> &'static str {
        match self {
            Self::NobodyReads => "nobody_reads",
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

    /// What could not be written, and where to.
    pub(crate) fn writing(to: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NobodyReads,
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

    /// As a line of JSON.
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
            Self::NobodyReads => f.write_str("nobody reads the output"),
            Self::Other(text)
            | Self::Usage(text)
            | Self::NoProcess(text)
            | Self::NoPermission(text)
            | Self::NotInstrumented(text)
            | Self::NoAnswer(text) => f.write_str(text),
        }
    }
}

/// From what is written to the standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::writing(Path::new("the standard output"), &error)
    }
}
