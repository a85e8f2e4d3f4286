//! What is there while somebody holds a guard: the socket, and the thread that answers.
//!
//! There is one for the process, with a count of its guards, in [`STATE`]. It is made and removed with
//! that lock held, so that whoever comes next finds either a socket that is listened to, or none.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Once, PoisonError, TryLockError};

use super::{AttachError, server, socket};
use crate::http::Running;
use crate::os::process::at_exit;
use crate::sync::StaticMutex as Mutex;

static STATE: Mutex<Option<Served>> = Mutex::new(None);

struct Served {
    path: PathBuf,
    /// The process that listens: a child of `fork` has a copy of this, but neither the thread nor the
    /// right to remove the socket.
    process: u32,
    guards: usize,
    _running: Running,
}

/// That this process can be [attached](crate::attach()) to. When the last of these is dropped, it
/// cannot be any more.
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
#[must_use = "when it is dropped, nobody can attach any more"]
pub struct Attached {
    path: PathBuf,
    process: u32,
}

impl Attached {
    /// Where the socket is.
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

pub(super) fn attach() -> Result<Attached, AttachError> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let process = process::id();
    if let Some(served) = state.as_mut().filter(|served| served.process == process) {
        served.guards += 1;
        let path = served.path.clone();
        return Ok(Attached { path, process });
    }
    let (listener, path) = socket::listen()?;
    let running = match server::start(listener) {
        Ok(running) => running,
        Err(error) => {
            let _ = socket::remove(&path);
            return Err(AttachError::Refused(error));
        }
    };
    let before = state.replace(Served {
        path: path.clone(),
        process,
        guards: 1,
        _running: running,
    });
    // In a child of `fork`, that is its parent's, whose thread is none of ours to stop.
    std::mem::forget(before);
    static AT_EXIT: Once = Once::new();
    AT_EXIT.call_once(|| at_exit(exit));
    Ok(Attached { path, process })
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        let own = process::id();
        if self.process != own {
            return;
        }
        let Some(served) = state.as_mut().filter(|served| served.process == own) else {
            return;
        };
        served.guards -= 1;
        if served.guards == 0 {
            let _ = socket::remove(&served.path);
            *state = None;
        }
    }
}

/// Removes the socket when the process exits.
extern "C" fn exit() {
    let state = match STATE.try_lock() {
        Ok(state) => state,
        Err(TryLockError::Poisoned(error)) => error.into_inner(),
        // Whoever has it is about to make or to remove it. What is left behind, others remove.
        Err(TryLockError::WouldBlock) => return,
    };
    if let Some(served) = state
        .as_ref()
        .filter(|served| served.process == process::id())
    {
        let _ = socket::remove(&served.path);
    }
}
