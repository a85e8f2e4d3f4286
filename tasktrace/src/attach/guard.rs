//! Keeps the socket and its thread alive while there are guards.
//!
//! The process has at most one socket. [`STATE`] contains it and the number of its guards. While a thread makes or
//! removes the socket, the state is [`AttachState::Changing`], and other threads wait. So they find either a socket
//! with a listener, or none. The lock is held only to read and to replace the state.

use std::fmt;
use std::mem;
use std::path::Path;
use std::process;
use std::sync::{Arc, Once, PoisonError, TryLockError};

use tasktrace_http::ServerThread;

use super::directory::user;
use super::{AttachError, socket};
use crate::http;
use crate::os::process::at_exit;
use crate::sync::{StaticCondvar as Condvar, StaticMutex as Mutex, StaticMutexGuard as Guard};

static STATE: Mutex<AttachState> = Mutex::new(AttachState::Free);

/// Notified when a change of the state is over.
static CHANGED: Condvar = Condvar::new();

/// The socket of the process. A child of `fork` has a copy, but neither the thread nor the right to remove the socket,
/// so it treats the state of another process as [`AttachState::Free`].
enum AttachState {
    Free,
    /// A thread of this process makes or removes the socket.
    Changing {
        process: u32,
    },
    OpenSocket(OpenSocket),
}

struct OpenSocket {
    path: Arc<Path>,
    /// The process that listens.
    process: u32,
    guards: usize,
    _running: ServerThread,
}

/// A guard of the socket that [`attach`](crate::attach()) opened. Dropping the last guard closes the socket.
///
/// ```
/// # #[cfg(unix)]
/// # fn main() -> Result<(), tasktrace::AttachError> {
/// let attached = tasktrace::attach()?;
/// let path = attached.path().to_owned();
/// assert!(path.exists());
/// drop(attached);
/// assert!(!path.exists());
/// # Ok(())
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
#[must_use = "the socket is closed when this is dropped"]
pub struct Attached {
    path: Arc<Path>,
    process: u32,
}

impl Attached {
    /// Returns the path of the socket.
    ///
    /// ```
    /// if let Ok(attached) = tasktrace::attach() {
    ///     println!("listening on {}", attached.path().display());
    /// }
    /// ```
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn state() -> Guard<'static, AttachState> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right of a thread to make or remove the socket. Other threads wait until it is dropped.
struct Change {
    /// The state after the change.
    after: AttachState,
}

impl Change {
    /// Takes the state, and marks it as changing.
    fn begin(state: &mut AttachState, process: u32) -> (Self, AttachState) {
        let before = mem::replace(state, AttachState::Changing { process });
        (
            Self {
                after: AttachState::Free,
            },
            before,
        )
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        let after = mem::replace(&mut self.after, AttachState::Free);
        // The replaced value is `Changing`, which has nothing to drop.
        mem::forget(mem::replace(&mut *state(), after));
        CHANGED.notify_all();
    }
}

pub(super) fn attach() -> Result<Attached, AttachError> {
    let process = process::id();
    let mut current = state();
    while matches!(&*current, AttachState::Changing { process: of } if *of == process) {
        let waited = CHANGED.wait(current);
        current = waited.unwrap_or_else(PoisonError::into_inner);
    }
    if let AttachState::OpenSocket(open) = &mut *current
        && open.process == process
    {
        open.guards += 1;
        let path = Arc::clone(&open.path);
        return Ok(Attached { path, process });
    }
    let (mut change, before) = Change::begin(&mut current, process);
    drop(current);
    // In a child of `fork` this is the state of the parent, whose thread the child must not stop.
    mem::forget(before);
    let (listener, path) = socket::listen()?;
    let running = match http::builder().serve_unix(listener, user()) {
        Ok(running) => running,
        Err(error) => {
            let _ = socket::remove(&path);
            return Err(AttachError::Refused(error));
        }
    };
    // An `exit` in a child of `fork` runs this function too, which checks the process.
    static AT_EXIT: Once = Once::new();
    AT_EXIT.call_once(|| at_exit(exit));
    let path: Arc<Path> = path.into();
    change.after = AttachState::OpenSocket(OpenSocket {
        path: Arc::clone(&path),
        process,
        guards: 1,
        _running: running,
    });
    Ok(Attached { path, process })
}

impl Drop for Attached {
    fn drop(&mut self) {
        let own = process::id();
        if self.process != own {
            return;
        }
        let mut current = state();
        // The state is free once the process exits.
        let AttachState::OpenSocket(open) = &mut *current else {
            return;
        };
        if open.process != own {
            return;
        }
        open.guards -= 1;
        if open.guards > 0 {
            return;
        }
        let (change, before) = Change::begin(&mut current, own);
        drop(current);
        if let AttachState::OpenSocket(open) = before {
            let _ = socket::remove(&open.path);
            drop(open);
        }
        drop(change);
    }
}

/// Removes the socket when the process exits.
extern "C" fn exit() {
    let mut current = match STATE.try_lock() {
        Ok(state) => state,
        Err(TryLockError::Poisoned(error)) => error.into_inner(),
        // Another thread holds the lock. Other processes remove the socket that is left behind.
        Err(TryLockError::WouldBlock) => return,
    };
    let own = process::id();
    if !matches!(&*current, AttachState::OpenSocket(open) if open.process == own) {
        // Another thread is making or removing the socket, or there is none.
        return;
    }
    let before = mem::replace(&mut *current, AttachState::Free);
    drop(current);
    if let AttachState::OpenSocket(open) = &before {
        let _ = socket::remove(&open.path);
    }
    // The thread of the socket ends with the process.
    mem::forget(before);
}
