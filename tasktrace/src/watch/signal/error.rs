//! Defines the error of `dump_on_signal`.

use std::error::Error;
use std::fmt;
use std::io;

use crate::escape::Escaped;
use crate::os::{SignalError, signal};

/// The error of [`dump_on_signal`](crate::dump_on_signal). Its message says what to do instead.
///
/// ```
/// # #[cfg(unix)]
/// # {
/// let error = tasktrace::dump_on_signal(9).unwrap_err();
/// assert!(error.to_string().starts_with("SIGKILL cannot be handled"));
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum DumpOnSignalError {
    /// This system has no signals.
    Unsupported,
    /// There is no signal with this name, or it cannot be handled.
    UnknownSignal {
        /// The name that was given.
        name: String,
    },
    /// There is no signal with this number, or the signal is not suitable.
    ///
    /// A signal is not suitable if it cannot be handled, if the program could not continue as before after it, or if it
    /// reports a fault of a thread, such as `SIGSEGV`.
    CannotBeHandled {
        /// The number of the signal.
        signal: i32,
    },
    /// The process ignores the signal. The parent of the process may have set that, as `nohup` does.
    Ignored {
        /// The number of the signal.
        signal: i32,
    },
    /// The system refused a handler, a pipe or a thread.
    Refused(io::Error),
}

impl DumpOnSignalError {
    pub(super) fn new(signal: i32, why: SignalError) -> Self {
        match why {
            SignalError::Unsupported => Self::Unsupported,
            SignalError::CannotBeHandled => Self::CannotBeHandled { signal },
            SignalError::Ignored => Self::Ignored { signal },
            SignalError::Refused(error) => Self::Refused(error),
        }
    }
}

impl fmt::Display for DumpOnSignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => f.write_str(
                "this system has no signals: call `dump_blocking` from a thread of the program",
            ),
            Self::UnknownSignal { name } => write!(
                f,
                "`{}` is not a signal that a program can handle: \
                 use the name or the number of a signal, such as SIGUSR1",
                Escaped(name)
            ),
            Self::CannotBeHandled { signal } => write!(
                f,
                "{} cannot be handled, or is reserved: use another signal, such as SIGUSR1",
                signal::name(*signal)
            ),
            Self::Ignored { signal } => write!(
                f,
                "{} is ignored, maybe on purpose (`nohup` does that), and stays ignored: use another signal, or \
                 install a handler first",
                signal::name(*signal)
            ),
            Self::Refused(error) => write!(f, "the system refused the request: {error}"),
        }
    }
}

impl Error for DumpOnSignalError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            _ => None,
        }
    }
}

impl From<DumpOnSignalError> for io::Error {
    fn from(error: DumpOnSignalError) -> Self {
        let kind = match error {
            DumpOnSignalError::Refused(error) => return error,
            DumpOnSignalError::Unsupported => io::ErrorKind::Unsupported,
            DumpOnSignalError::Ignored { .. } => io::ErrorKind::Other,
            DumpOnSignalError::UnknownSignal { .. } | DumpOnSignalError::CannotBeHandled { .. } => {
                io::ErrorKind::InvalidInput
            }
        };
        Self::new(kind, error)
    }
}
