//! A process that others of the same user can ask, through a unix socket.
//!
//! * [`place`]: where the sockets are. For the program `tasktrace` as well.
//! * [`mod@socket`]: the one of this process, from its name to its removal.
//! * [`served`]: what is there while somebody holds a guard.
//! * [`server`]: the thread that answers.
//! * [`mod@start`]: what the attribute and the environment ask for.
//! * [`error`]: why it cannot be done.
#![forbid(unsafe_code)]

#[cfg(feature = "attach")]
mod error;
#[cfg(unix)]
pub mod place;
#[cfg(all(unix, feature = "attach"))]
mod served;
#[cfg(all(not(unix), feature = "attach"))]
#[path = "unsupported.rs"]
mod served;
#[cfg(all(unix, feature = "attach"))]
mod server;
#[cfg(all(unix, feature = "attach"))]
mod socket;
#[cfg(feature = "attach")]
mod start;

#[cfg(feature = "attach")]
pub use error::AttachError;
#[cfg(feature = "attach")]
pub use served::Attached;
#[cfg(feature = "attach")]
pub(crate) use start::{start_by_attribute, start_by_environment};

/// Lets the program `tasktrace`, run by the same user, ask this process.
///
/// ```
/// # #[cfg(unix)]
/// # fn main() -> Result<(), tasktrace::AttachError> {
/// let attached = tasktrace::attach()?;
/// println!("try: tasktrace ps {}", std::process::id());
/// // As long as this is there. Or forever:
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
/// It listens on a unix socket, `PID.sock` in the first of these directories that is fit for it:
/// `$XDG_RUNTIME_DIR/tasktrace`, `/run/user/UID/tasktrace`, and `tasktrace-UID` in the directory for
/// temporary files. A thread and a runtime of its own answer, so they do when those of the program are
/// blocked. Until somebody asks, that thread sleeps.
///
/// Another call while there is a guard gives another guard of the same socket. With the last of them
/// the socket goes, and so it does when the process exits. Where it is killed, the socket is removed by
/// the next process or `tasktrace` that comes across it.
///
/// # Who may ask
///
/// The same user, and root. The directory has mode 0700 and the socket 0600; a directory that is a
/// link, that belongs to somebody else, or that others have rights to, is not used; and of each peer
/// the system is asked who it is. What they may do is to look, and to have tasks polled for it.
///
/// # From outside
///
/// A program whose `main` is a [`#[tasktrace::main]`](macro@crate::main) need not call it:
/// `#[tasktrace::main(attach)]` does, or the environment variable `TASKTRACE_ATTACH=1`. With `0` there,
/// the attribute does not. Then it lasts until the process exits. If it cannot be done, a line on the
/// standard error output says why, and the program goes on.
///
/// A child of `fork` that is no other program has to call this for itself.
///
/// # Errors
///
/// If there is no place for a socket, or the system refuses it: [`AttachError`] says why, and what to
/// do. On systems that are not unix, always [`AttachError::Unsupported`].
#[cfg(feature = "attach")]
pub fn attach() -> Result<Attached, AttachError> {
    served::attach()
}
