//! Defines the error of [`Builder::bind`](crate::Builder::bind).

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::auth::MIN_LENGTH;

/// The error of [`Builder::bind`](crate::Builder::bind). Its message says what to do instead.
///
/// ```
/// use tasktrace::http::{self, BindError};
///
/// let error = http::serve("0.0.0.0:6670").unwrap_err();
/// assert!(matches!(error, BindError::NotLoopback { .. }));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// Other machines could connect to the address, and [`allow_remote`](crate::Builder::allow_remote) was not
    /// called.
    NotLoopback {
        /// The address to listen on.
        address: SocketAddr,
    },
    /// Other machines may connect, and there is no token.
    NoToken {
        /// The address to listen on.
        address: SocketAddr,
    },
    /// The token is so short that it could be guessed.
    ShortToken,
    /// The address is invalid or in use, or the system refused it.
    Refused(io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoopback { address } => write!(
                f,
                "{address} can be reached from other machines, so they could see what this program does: use \
                 127.0.0.1 or [::1], or call `allow_remote()` and set a `token(…)`"
            ),
            Self::NoToken { address } => write!(
                f,
                "{address} can be reached from other machines: set a `token(…)` that clients have to send"
            ),
            Self::ShortToken => write!(
                f,
                "the token can be guessed: use a random one of at least {MIN_LENGTH} characters"
            ),
            Self::Refused(error) => write!(f, "the server cannot listen on this address: {error}"),
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for BindError {
    fn from(error: io::Error) -> Self {
        Self::Refused(error)
    }
}

impl From<BindError> for io::Error {
    fn from(error: BindError) -> Self {
        match error {
            BindError::Refused(error) => error,
            other => Self::new(io::ErrorKind::InvalidInput, other),
        }
    }
}
