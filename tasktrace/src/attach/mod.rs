//! Lets other processes of the same user ask this process, through a Unix socket that `tasktrace-http` serves.
//!
//! * [`directory`]: the directory of the sockets. The program `tasktrace` uses it too.
//! * [`mod@socket`]: creates and removes the socket of this process.
//! * [`guard`]: counts the guards of the socket.
//! * [`mod@start`]: attaches if the attribute or the environment requests it.
//! * [`error`]: the reasons why a process cannot let others attach.
#![forbid(unsafe_code)]

#[cfg(unix)]
pub(crate) mod directory;
#[cfg(feature = "attach")]
mod error;
#[cfg(all(unix, feature = "attach"))]
mod guard;
#[cfg(all(not(unix), feature = "attach"))]
#[path = "unsupported.rs"]
mod guard;
#[cfg(all(unix, feature = "attach"))]
mod socket;
#[cfg(feature = "attach")]
mod start;

#[cfg(feature = "attach")]
pub use error::AttachError;
#[cfg(feature = "attach")]
pub use guard::Attached;
#[cfg(feature = "attach")]
pub(crate) use start::{start_by_attribute, start_by_environment};

/// Lets the program `tasktrace` ask this process, and returns a guard.
///
/// ```
/// # #[cfg(unix)]
/// # fn main() -> Result<(), tasktrace::AttachError> {
/// let attached = tasktrace::attach()?;
/// println!("try: tasktrace ps {}", std::process::id());
/// // Dropping the guard closes the socket. This keeps it open:
/// std::mem::forget(attached);
/// # Ok(())
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
///
/// ```text
/// $ tasktrace ps
///  PID  TASKS    AGE  NAME
/// 4711      7  2m03s  shop
/// $ tasktrace dump 4711
/// 7 tasks: 7 suspended
/// …
/// ```
///
/// The process listens on a Unix socket, `PID.sock`, in the first suitable directory of `$XDG_RUNTIME_DIR/tasktrace`,
/// `/run/user/UID/tasktrace`, and `tasktrace-UID` in the directory for temporary files. It answers from a thread and a
/// runtime of its own, even when the program's runtime is blocked. Until a client connects, that thread sleeps.
///
/// Another call while a guard exists returns another guard of the same socket. Dropping the last guard removes the
/// socket, and so does the exit of the process. A killed process leaves its socket behind, and the next process or
/// `tasktrace` that finds it removes it.
///
/// # Access
///
/// Only the same user and root may ask. The directory has mode 0700 and the socket 0600. A directory that is a symbolic
/// link, belongs to another user, or gives rights to others is not used. The process asks the system for the user of
/// each client. A client can read the state of the tasks, and have tasks polled for that.
///
/// # Attribute and environment variable
///
/// A program with [`#[tasktrace::main]`](macro@crate::main) does not need this call. `#[tasktrace::main(attach)]`
/// attaches, and so does the environment variable `TASKTRACE_ATTACH=1`, until the process exits. `TASKTRACE_ATTACH=0`
/// overrides the attribute. If the process cannot attach, a line on standard error says why, and the program continues.
///
/// A child of `fork` has to call this function itself.
///
/// # Errors
///
/// Returns an error if there is no suitable directory, or if the system refuses the socket. [`AttachError`] says why,
/// and what to do. On systems that are not Unix, it always returns [`AttachError::Unsupported`].
#[cfg(feature = "attach")]
pub fn attach() -> Result<Attached, AttachError> {
    guard::attach()
}
