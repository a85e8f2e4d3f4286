//! What the operating system is asked for: signals, threads, files, standard error.
//!
//! * [`signal`]: what signals there are, and what is done with them.
//! * [`relay`]: telling a thread of them.
//! * [`mod@thread`], [`mod@file`], [`stderr`]: what else.
//! * `age`: how long this process has been running (feature `http`).
//! * `process`, `socket`: who is there to be connected to (features `attach` and `cli`).
//!
//! Where it has no such thing, the functions say so; nobody outside of here asks which system it is.

use std::io;

#[cfg(feature = "http")]
pub(crate) mod age;
#[cfg(unix)]
pub(crate) mod errno;
pub(crate) mod file;
#[cfg(all(unix, any(feature = "attach", feature = "cli")))]
pub(crate) mod process;
#[cfg_attr(not(unix), path = "no_relay.rs")]
pub(crate) mod relay;
#[cfg_attr(not(unix), path = "no_signal.rs")]
pub(crate) mod signal;
#[cfg(all(unix, any(feature = "attach", feature = "cli")))]
pub(crate) mod socket;
pub(crate) mod stderr;
pub(crate) mod thread;

/// Why a signal cannot be heard.
#[derive(Debug)]
#[cfg_attr(not(unix), allow(dead_code, reason = "there is one reason"))]
pub(crate) enum Deaf {
    /// There are no signals.
    #[cfg_attr(unix, allow(dead_code, reason = "there are"))]
    Unsupported,
    /// There is no such signal, or it cannot be handled, or not so that the program goes on.
    CannotBeHandled,
    /// It is ignored, which whoever started the program may have asked for.
    Ignored,
    /// The system refuses it.
    Refused(io::Error),
}
