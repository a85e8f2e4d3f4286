//! Creates and inspects directories of sockets, their lock files, and the sockets in them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::ptr;

/// The largest number of bytes in the path of a socket.
pub(crate) const MAX_PATH: usize =
    mem::size_of::<libc::sockaddr_un>() - mem::offset_of!(libc::sockaddr_un, sun_path) - 1;

/// Creates a directory that only its owner can access. If the path exists, the call succeeds, and the caller checks
/// what the path is.
#[cfg(any(test, feature = "attach"))]
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;

    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}

/// The owner and the permissions of a directory.
pub(crate) struct DirectoryAccess {
    pub(crate) owner: u32,
    /// The permission bits.
    pub(crate) mode: u32,
}

/// Returns the owner and the permissions of a directory.
///
/// # Errors
///
/// Returns an error if the path is not a directory. A symbolic link is not a directory, even if its target is one.
pub(crate) fn directory(path: &Path) -> io::Result<DirectoryAccess> {
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() {
        let what = match found.is_symlink() {
            true => "it is a symbolic link",
            false => "it is not a directory",
        };
        return Err(io::Error::new(io::ErrorKind::NotADirectory, what));
    }
    Ok(DirectoryAccess {
        owner: found.uid(),
        mode: found.mode() & 0o7777,
    })
}

/// A lock file, which one process holds at a time, until the value is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock. Returns `None` if another process holds it.
    ///
    /// # Errors
    ///
    /// Returns an error if the file does not exist and cannot be created, or if it is a symbolic link.
    pub(crate) fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)?;
        // SAFETY: `flock` takes two numbers, and `file` owns the open descriptor.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(Some(Self { _file: file }));
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            error if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            error => Err(error),
        }
    }
}

/// The state of a path that may be a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketState {
    /// The path does not exist.
    Missing,
    /// The path is not a socket.
    NotASocket,
    /// The socket has no listener, because its process has ended.
    Stale,
    /// The socket has a listener, or may have one.
    Listening,
}

/// Returns the state of a path that may be a socket, without waiting for a listener.
///
/// # Errors
///
/// Returns an error if the system refuses to inspect the path, for example for a lack of permission.
pub(crate) fn socket_state(path: &Path) -> io::Result<SocketState> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => return Ok(SocketState::NotASocket),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(SocketState::Missing),
        Err(error) => return Err(error),
    }
    match connect(path) {
        Ok(()) => Ok(SocketState::Listening),
        Err(error) => match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => Ok(SocketState::Stale),
            Some(libc::ENOENT) => Ok(SocketState::Missing),
            // The queue of the listener is full, or the connection is not finished yet.
            Some(libc::EAGAIN | libc::EINPROGRESS | libc::EINTR) => Ok(SocketState::Listening),
            _ => Err(error),
        },
    }
}

/// Connects to a socket and disconnects. `UnixStream::connect` would wait if the queue of the listener is full.
fn connect(path: &Path) -> io::Result<()> {
    let (address, length) = address(path)?;
    // SAFETY: `socket` takes three numbers, and accesses no memory of the program.
    let socket = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `socket` has just returned this descriptor, and no other code owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    for (command, flag) in [
        (libc::F_SETFL, libc::O_NONBLOCK),
        (libc::F_SETFD, libc::FD_CLOEXEC),
    ] {
        // SAFETY: `fcntl` takes numbers for these commands, and `socket` owns the open descriptor.
        if unsafe { libc::fcntl(socket.as_raw_fd(), command, flag) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    let address = ptr::from_ref(&address).cast();
    // SAFETY: `address` points to an initialised `sockaddr_un`, and the first `length` bytes of it are within that
    // value.
    match unsafe { libc::connect(socket.as_raw_fd(), address, length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn address(path: &Path) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() > MAX_PATH || bytes.contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: all fields of `sockaddr_un` are numbers or arrays of numbers, for which zero is valid.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    let length = mem::offset_of!(libc::sockaddr_un, sun_path) + bytes.len() + 1;
    let length = libc::socklen_t::try_from(length).map_err(io::Error::other)?;
    Ok((address, length))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    use super::*;

    struct SocketTestDirectory(PathBuf);

    impl SocketTestDirectory {
        fn new(name: &str) -> Self {
            let name = format!("tasktrace-socket-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            create_directory(&path).expect("it can be created");
            Self(path)
        }
    }

    impl Drop for SocketTestDirectory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_state_of_a_socket_follows_its_listener() {
        let place = SocketTestDirectory::new("listens");
        let path = place.0.join("1.sock");
        assert_eq!(
            socket_state(&path).expect("it is known"),
            SocketState::Missing
        );
        let socket = UnixListener::bind(&path).expect("it can be bound");
        assert_eq!(
            socket_state(&path).expect("it is known"),
            SocketState::Listening
        );
        drop(socket);
        assert_eq!(
            socket_state(&path).expect("it is known"),
            SocketState::Stale
        );
        fs::remove_file(&path).expect("it is there");
        fs::write(&path, "").expect("it can be written");
        assert_eq!(
            socket_state(&path).expect("it is known"),
            SocketState::NotASocket
        );
    }

    /// The queue of a listener that accepts no connection becomes full. The check does not wait for it.
    #[test]
    fn a_socket_with_a_full_queue_is_listening() {
        let place = SocketTestDirectory::new("full");
        let path = place.0.join("1.sock");
        let _socket = UnixListener::bind(&path).expect("it can be bound");
        let (address, length) = address(&path).expect("it is short");
        let mut waiting = Vec::new();
        loop {
            // SAFETY: `socket` takes three numbers, and accesses no memory of the program.
            let socket = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) };
            assert!(socket >= 0);
            // SAFETY: `socket` has just returned this descriptor, and no other code owns it.
            waiting.push(unsafe { OwnedFd::from_raw_fd(socket) });
            // SAFETY: the descriptor is open, and the first `length` bytes are within `address`.
            let connected = unsafe {
                libc::fcntl(socket, libc::F_SETFL, libc::O_NONBLOCK);
                libc::connect(socket, ptr::from_ref(&address).cast(), length)
            };
            if connected != 0 {
                break;
            }
        }
        assert!(waiting.len() > 1);
        assert_eq!(
            socket_state(&path).expect("it is known"),
            SocketState::Listening
        );
    }

    #[test]
    fn symbolic_links_are_neither_directories_nor_sockets() {
        let place = SocketTestDirectory::new("links");
        let link = place.0.join("link");
        symlink(&place.0, &link).expect("it can be created");
        create_directory(&link).expect("there is something");
        let error = directory(&link).err().expect("it is a link");
        assert_eq!(error.to_string(), "it is a symbolic link");
        assert!(Lock::try_take(&link).is_err());

        let socket = place.0.join("1.sock");
        let _socket = UnixListener::bind(&socket).expect("it can be bound");
        let link = place.0.join("2.sock");
        symlink(&socket, &link).expect("it can be created");
        assert_eq!(
            socket_state(&link).expect("it is known"),
            SocketState::NotASocket
        );
    }

    #[test]
    fn only_one_holder_has_the_lock() {
        let place = SocketTestDirectory::new("lock");
        let path = place.0.join("lock");
        let lock = Lock::try_take(&path).expect("it can be made");
        assert!(lock.is_some());
        assert!(Lock::try_take(&path).expect("it is there").is_none());
        drop(lock);
        assert!(Lock::try_take(&path).expect("it is there").is_some());
        let mode = fs::metadata(&path).expect("it is there").mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn paths_that_are_too_long_are_refused() {
        let long = PathBuf::from("/".repeat(MAX_PATH + 1));
        assert!(address(&long).is_err());
        let fits = PathBuf::from("/".repeat(MAX_PATH));
        let (address, _) = address(&fits).expect("it fits");
        assert_eq!(address.sun_path[MAX_PATH], 0);
    }
}
