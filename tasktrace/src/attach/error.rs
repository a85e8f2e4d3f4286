//! Why a process cannot be attached to.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::escape::Escaped;

/// Why [`attach`](crate::attach()) cannot do it, and what to do about it.
///
/// ```
/// if let Err(error) = tasktrace::attach() {
///     eprintln!("nobody can attach: {error}");
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum AttachError {
    /// This system has no unix sockets, or we don't know who is at their other end.
    Unsupported,
    /// The directory for the socket is a link, belongs to somebody else, or others have rights to
    /// it. The text says which, and of which directory.
    UnsafeDirectory(String),
    /// Another process listens to the socket of this one: one with the same number, in another
    /// container that shares the directory.
    InUse(PathBuf),
    /// There is something of the socket's name that is none.
    NotASocket(PathBuf),
    /// Another process has the lock of the directory, and does not let go of it.
    Locked(PathBuf),
    /// The system refuses it, at this path.
    Io(PathBuf, io::Error),
    /// The system refuses a thread, or what else that needs.
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
                "another process listens to {}: give this one an XDG_RUNTIME_DIR of its own",
                Escaped(path.display())
            ),
            Self::NotASocket(path) => {
                write!(
                    f,
                    "{} is in the way, and no socket: remove it",
                    Escaped(path.display())
                )
            }
            Self::Locked(path) => write!(
                f,
                "another process holds the lock of {}: is one stopped that was about to attach?",
                Escaped(path.display())
            ),
            Self::Io(path, error) => write!(f, "{}: {error}", Escaped(path.display())),
            Self::Refused(error) => write!(f, "the system refuses it: {error}"),
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
