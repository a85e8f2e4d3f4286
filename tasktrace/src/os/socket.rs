//! Directories that nobody else can write to, and unix sockets in them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::ptr;

/// How many bytes the path of a socket may have.
pub(crate) const LONGEST: usize =
    mem::size_of::<libc::sockaddr_un>() - mem::offset_of!(libc::sockaddr_un, sun_path) - 1;

/// Makes a directory for its owner only. If there is something of this name, so be it: the caller
/// looks at what it is.
#[cfg(any(test, feature = "attach"))]
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;

    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}

/// What a directory is like.
pub(crate) struct Directory {
    pub(crate) owner: u32,
    /// Who may do what.
    pub(crate) mode: u32,
}

/// Looks at a directory.
///
/// # Errors
///
/// If there is none. A symbolic link is none, wherever it leads.
pub(crate) fn directory(path: &Path) -> io::Result<Directory> {
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() {
        let what = match found.is_symlink() {
            true => "it is a symbolic link",
            false => "it is no directory",
        };
        return Err(io::Error::new(io::ErrorKind::NotADirectory, what));
    }
    Ok(Directory {
        owner: found.uid(),
        mode: found.mode() & 0o7777,
    })
}

/// A file that one process has at a time, until it is dropped, or ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// `None` if another one has it.
    ///
    /// # Errors
    ///
    /// If there is no such file and it cannot be made, or if it is a link.
    pub(crate) fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)?;
        // SAFETY: it takes two numbers.
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

/// Who is behind the name of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listener {
    /// There is no such name.
    Missing,
    /// There is something that is no socket.
    NoSocket,
    /// Nobody listens any more: the one who did has ended.
    Gone,
    /// Somebody listens, or may be.
    There,
}

/// Asks who is behind the name of a socket, and does not wait for them.
///
/// # Errors
///
/// If it cannot be found out, such as for want of permission.
pub(crate) fn listener(path: &Path) -> io::Result<Listener> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => return Ok(Listener::NoSocket),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listener::Missing),
        Err(error) => return Err(error),
    }
    match connect(path) {
        Ok(()) => Ok(Listener::There),
        Err(error) => match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => Ok(Listener::Gone),
            Some(libc::ENOENT) => Ok(Listener::Missing),
            // Its queue is full, or it answers later.
            Some(libc::EAGAIN | libc::EINPROGRESS | libc::EINTR) => Ok(Listener::There),
            _ => Err(error),
        },
    }
}

/// Connects, and hangs up. The standard library would wait where the queue is full.
fn connect(path: &Path) -> io::Result<()> {
    let (address, length) = address(path)?;
    // SAFETY: it takes three numbers.
    let socket = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it has just been made, and nobody else knows of it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    for (command, flag) in [
        (libc::F_SETFL, libc::O_NONBLOCK),
        (libc::F_SETFD, libc::FD_CLOEXEC),
    ] {
        // SAFETY: it takes three numbers.
        if unsafe { libc::fcntl(socket.as_raw_fd(), command, flag) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    let address = ptr::from_ref(&address).cast();
    // SAFETY: the address is that long.
    match unsafe { libc::connect(socket.as_raw_fd(), address, length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn address(path: &Path) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() > LONGEST || bytes.contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: it consists of numbers, all of which may be zero.
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

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let name = format!("tasktrace-socket-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            create_directory(&path).expect("it can be created");
            Self(path)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn who_listens() {
        let place = Place::new("listens");
        let path = place.0.join("1.sock");
        assert_eq!(listener(&path).expect("it is known"), Listener::Missing);
        let socket = UnixListener::bind(&path).expect("it can be bound");
        assert_eq!(listener(&path).expect("it is known"), Listener::There);
        drop(socket);
        assert_eq!(listener(&path).expect("it is known"), Listener::Gone);
        fs::remove_file(&path).expect("it is there");
        fs::write(&path, "").expect("it can be written");
        assert_eq!(listener(&path).expect("it is known"), Listener::NoSocket);
    }

    /// The queue of somebody who does not answer gets full, and we don't wait for them.
    #[test]
    fn a_full_queue() {
        let place = Place::new("full");
        let path = place.0.join("1.sock");
        let _socket = UnixListener::bind(&path).expect("it can be bound");
        let (address, length) = address(&path).expect("it is short");
        let mut waiting = Vec::new();
        loop {
            // SAFETY: it takes three numbers.
            let socket = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) };
            assert!(socket >= 0);
            // SAFETY: it has just been made.
            waiting.push(unsafe { OwnedFd::from_raw_fd(socket) });
            // SAFETY: it takes numbers, and the address is that long.
            let connected = unsafe {
                libc::fcntl(socket, libc::F_SETFL, libc::O_NONBLOCK);
                libc::connect(socket, ptr::from_ref(&address).cast(), length)
            };
            if connected != 0 {
                break;
            }
        }
        assert!(waiting.len() > 1);
        assert_eq!(listener(&path).expect("it is known"), Listener::There);
    }

    #[test]
    fn links_are_not_followed() {
        let place = Place::new("links");
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
        assert_eq!(listener(&link).expect("it is known"), Listener::NoSocket);
    }

    #[test]
    fn one_has_the_lock() {
        let place = Place::new("lock");
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
    fn paths_that_are_too_long() {
        let long = PathBuf::from("/".repeat(LONGEST + 1));
        assert!(address(&long).is_err());
        let fits = PathBuf::from("/".repeat(LONGEST));
        let (address, _) = address(&fits).expect("it fits");
        assert_eq!(address.sun_path[LONGEST], 0);
    }
}
