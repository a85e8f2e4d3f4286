//! Makes all requests to the operating system: signals, threads, files, standard error.
//!
//! * [`signal`]: the numbers, names and actions of signals.
//! * [`self_pipe`]: delivers signals to a thread.
//! * [`fork`]: the handlers around `fork`.
//! * [`signal_stack`]: the alternate stack of signal handlers.
//! * [`stack`]: the room left on the stack of a thread.
//! * [`mod@env`]: environment variables, unless another user set them.
//! * [`program`]: the file of this program.
//! * [`time`]: the clocks of the system.
//! * [`huge_pages`]: memory that many tasks use.
//! * [`mod@thread`], [`activity`], [`mod@file`], [`stderr`]: threads, their CPU time, files, standard error.
//! * `opened_thread`: other threads of this process (on Windows).
//! * `age`, `memory`: the age and the memory of this process (feature `http`).
//! * `process`, `socket`: other processes and their sockets (feature `attach`, and for `tasktrace-cli`).
//!
//! If the system lacks a feature, the functions return `None` or an error. No code outside this module checks the
//! system.

use self::time::Instant;
use std::io;
use std::time::Duration;

pub(crate) mod activity;
#[cfg(feature = "http")]
pub(crate) mod age;
pub(crate) mod env;
#[cfg(unix)]
pub(crate) mod errno;
pub(crate) mod file;
pub(crate) mod fork;
pub(crate) mod huge_pages;
#[cfg(feature = "http")]
pub(crate) mod memory;
#[cfg(windows)]
pub(crate) mod opened_thread;
#[cfg(all(unix, feature = "__cli"))]
pub(crate) mod process;
pub(crate) mod program;
#[cfg_attr(not(unix), path = "no_self_pipe.rs")]
pub(crate) mod self_pipe;
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
#[cfg(all(unix, feature = "__cli"))]
pub(crate) mod socket;
#[cfg_attr(not(target_os = "linux"), path = "no_stack.rs")]
pub(crate) mod stack;
pub(crate) mod stderr;
pub(crate) mod thread;
pub(crate) mod time;

/// A duration that is longer than any process runs.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Returns the moment at which a duration that begins now ends. A duration that is too long for [`Instant`] ends in ten
/// years.
pub(crate) fn deadline(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now + FOREVER)
}

/// Returns the number of this process, or 1 on a system without processes.
#[inline]
pub(crate) fn process_id() -> u32 {
    match cfg!(target_family = "wasm") {
        true => 1,
        false => std::process::id(),
    }
}

/// The size of a table that is indexed by signal numbers. No system has larger ones.
pub(crate) const SIGNAL_TABLE_SIZE: usize = 129;

/// The reason why a signal cannot be delivered to a thread.
#[derive(Debug)]
#[cfg_attr(not(unix), allow(dead_code, reason = "there is one reason"))]
pub(crate) enum SignalError {
    /// The system has no signals.
    #[cfg_attr(unix, allow(dead_code, reason = "there are"))]
    Unsupported,
    /// There is no such signal, it cannot be handled, or the program could not continue after it.
    CannotBeHandled,
    /// The process ignores the signal, which its parent may have set.
    Ignored,
    /// The system refused the handler.
    Refused(io::Error),
}
