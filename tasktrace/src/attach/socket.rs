//! Creates and removes the socket of this process.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process;

use super::AttachError;
use super::directory::{
    ProcessState, SocketDirectory, SocketState, UnsuitableDirectory, process_state,
};

/// The permission bits of the socket: only the owner may connect.
const MODE: u32 = 0o600;

/// Creates the socket of this process and listens on it. Removes the sockets of killed processes.
pub(super) fn listen() -> Result<(UnixListener, PathBuf), AttachError> {
    let directory = SocketDirectory::ours()?;
    let own = process::id();
    let path = directory.socket(own);
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| AttachError::Io(path, error)
    };
    let Some(lock) = directory.lock().map_err(at(directory.path()))? else {
        return Err(AttachError::Locked(directory.path().to_owned()));
    };
    for process in directory.processes().map_err(at(directory.path()))? {
        // A process that is alive removes its own socket.
        if process != own && process_state(process) == ProcessState::NotRunning {
            let _ = directory.remove_stale_in(&lock, process);
        }
    }
    match directory.socket_state(own).map_err(at(&path))? {
        SocketState::Missing => {}
        // A killed process with the same process id has left the socket behind.
        SocketState::Stale => fs::remove_file(&path).map_err(at(&path))?,
        SocketState::Listening => return Err(AttachError::InUse(path)),
        SocketState::NotASocket => return Err(AttachError::NotASocket(path)),
    }
    let listener = UnixListener::bind(&path).map_err(at(&path))?;
    // Until the permissions are set, the permissions of the directory keep other users out.
    let private = fs::set_permissions(&path, Permissions::from_mode(MODE));
    if let Err(error) = private.and_then(|()| listener.set_nonblocking(true)) {
        let _ = fs::remove_file(&path);
        return Err(AttachError::Io(path, error));
    }
    Ok((listener, path))
}

impl From<UnsuitableDirectory> for AttachError {
    fn from(unsuitable: UnsuitableDirectory) -> Self {
        match unsuitable {
            UnsuitableDirectory::Refused(path, error) => Self::Io(path, error),
            unsuitable => Self::UnsafeDirectory(unsuitable.to_string()),
        }
    }
}

/// Removes the socket of this process.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}
