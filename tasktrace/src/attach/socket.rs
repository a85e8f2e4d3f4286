//! The socket of this process.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process;

use super::AttachError;
use super::place::{Alive, Listener, Place, Unsuitable, alive};

/// Who may do what: the owner may connect.
const MODE: u32 = 0o600;

/// Listens on a new socket, and removes what processes have left behind that were killed.
pub(super) fn listen() -> Result<(UnixListener, PathBuf), AttachError> {
    let place = Place::ours()?;
    let own = process::id();
    let path = place.socket(own);
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| AttachError::Io(path, error)
    };
    let Some(lock) = place.lock().map_err(at(place.path()))? else {
        return Err(AttachError::Locked(place.path().to_owned()));
    };
    for process in place.processes().map_err(at(place.path()))? {
        // Whoever is alive looks after their own.
        if process != own && alive(process) == Alive::No {
            let _ = place.remove_stale_in(&lock, process);
        }
    }
    match place.listener(own).map_err(at(&path))? {
        Listener::Missing => {}
        // Of a process that had our number.
        Listener::Gone => fs::remove_file(&path).map_err(at(&path))?,
        Listener::There => return Err(AttachError::InUse(path)),
        Listener::NoSocket => return Err(AttachError::NotASocket(path)),
    }
    let listener = UnixListener::bind(&path).map_err(at(&path))?;
    // Until here, it is the directory that keeps others out.
    let private = fs::set_permissions(&path, Permissions::from_mode(MODE));
    if let Err(error) = private.and_then(|()| listener.set_nonblocking(true)) {
        let _ = fs::remove_file(&path);
        return Err(AttachError::Io(path, error));
    }
    Ok((listener, path))
}

impl From<Unsuitable> for AttachError {
    fn from(unsuitable: Unsuitable) -> Self {
        match unsuitable {
            Unsuitable::Refused(path, error) => Self::Io(path, error),
            unsuitable => Self::UnsafeDirectory(unsuitable.to_string()),
        }
    }
}

/// Removes the name of a socket that we have listened to.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}
