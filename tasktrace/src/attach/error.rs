//! Defines the error of `attach`.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::escape::Escaped;

/// The error of [`attach`](crate::attach()). Its message says what to do.
///
/// ```
/// if let Err(error) = tasktrace::attach() {
///     eprintln!("no program can attach: {error}");
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum AttachError {
    /// The system has no Unix sockets, or does not tell the user of a client.
    Unsupported,
    /// The directory for the socket is a symbolic link, belongs to another user, or gives rights to others. The text
    /// names the directory and the reason.
    UnsafeDirectory(String),
    /// Another process listens on the socket at this path. It has the same PID, in another container that shares the
    /// directory.
    InUse(PathBuf),
    /// The file at this path, which is that of the socket, is not a socket.
    NotASocket(PathBuf),
    /// Another process holds the lock of the directory, and does not release it.
    Locked(PathBuf),
    /// The system returned an error at this path.
    Io(PathBuf, io::Error),
    /// The system refused a thread or its resources.
    Refused(io::Error),
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => f.write_str(
                "this system has no unix sockets: use `tasktrace::http::serve` \
                 and `tasktrace --addr`",
            ),
            Self::UnsafeDirectory(why) => f.write_str(why),
            Self::InUse(path) => write!(
                f,
                "another process listens on {}: give this process another XDG_RUNTIME_DIR",
                Escaped(path.display())
            ),
            Self::NotASocket(path) => {
                write!(f, "{} is not a socket: remove it", Escaped(path.display()))
            }
            Self::Locked(path) => write!(
                f,
                "another process holds the lock of {}: it may have been stopped while it opened its socket",
                Escaped(path.display())
            ),
            Self::Io(path, error) => write!(f, "{}: {error}", Escaped(path.display())),
            Self::Refused(error) => write!(f, "the system refused the request: {error}"),
        }
    }
}

impl Error for AttachError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(_, error) | Self::Refused(error) => Some(error),
            _ => None,
        }
    }
}

impl From<AttachError> for io::Error {
    fn from(error: AttachError) -> Self {
        let kind = match &error {
            AttachError::Unsupported => io::ErrorKind::Unsupported,
            AttachError::UnsafeDirectory(_) => io::ErrorKind::PermissionDenied,
            AttachError::InUse(_) => io::ErrorKind::AddrInUse,
            AttachError::NotASocket(_) => io::ErrorKind::AlreadyExists,
            AttachError::Locked(_) => io::ErrorKind::WouldBlock,
            AttachError::Io(_, error) | AttachError::Refused(error) => error.kind(),
        };
        Self::new(kind, error)
    }
}
