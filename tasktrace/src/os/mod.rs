//! What the operating system is asked for: signals, threads, files, standard error.
//!
//! * [`signal`]: what signals there are, and what is done with them.
//! * [`relay`]: telling a thread of them.
//! * [`fork`]: what is called when the process forks.
//! * [`signal_stack`]: where handlers have room.
//! * [`stack`]: the room that a thread has left.
//! * [`mod@env`]: variables, unless they are another user's.
//! * [`program`]: the file of this program.
//! * [`mod@thread`], [`activity`], [`mod@file`], [`stderr`]: what else.
//! * `age`, `memory`: how long this process has been running, and what it holds (feature `http`).
//! * `peer`: who is at the other end of a connection (feature `http`).
//! * `process`, `socket`: who is there to be connected to (features `attach` and `cli`).
//!
//! Where it has no such thing, the functions say so; nobody outside of here asks which system it is.

use std::io;
use std::time::{Duration, Instant};

pub(crate) mod activity;
#[cfg(feature = "http")]
pub(crate) mod age;
pub(crate) mod env;
#[cfg(unix)]
pub(crate) mod errno;
pub(crate) mod file;
pub(crate) mod fork;
#[cfg(feature = "http")]
pub(crate) mod memory;
#[cfg(feature = "http")]
pub(crate) mod peer;
#[cfg(all(unix, any(feature = "attach", feature = "cli")))]
pub(crate) mod process;
pub(crate) mod program;
#[cfg_attr(not(unix), path = "no_relay.rs")]
pub(crate) mod relay;
#[cfg_attr(not(unix), path = "no_signal.rs")]
pub(crate) mod signal;
#[cfg_attr(
    not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )),
    path = "no_signal_stack.rs"
)]
pub(crate) mod signal_stack;
#[cfg(all(unix, any(feature = "attach", feature = "cli")))]
pub(crate) mod socket;
#[cfg_attr(not(target_os = "linux"), path = "no_stack.rs")]
pub(crate) mod stack;
pub(crate) mod stderr;
pub(crate) mod thread;

/// Longer than any process runs.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The moment at which a time is over that begins now. A time that is too long to be told is over in ten
/// years.
pub(crate) fn deadline(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now + FOREVER)
}

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
