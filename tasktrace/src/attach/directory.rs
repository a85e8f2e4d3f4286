//! Finds the directory of the sockets, which belongs to the user and is closed to others.
//!
//! The directory is the first of the following whose parent is suitable:
//!
//! 1. `$XDG_RUNTIME_DIR/tasktrace`
//! 2. `/run/user/UID/tasktrace`
//! 3. `tasktrace-UID` in the directory for temporary files. Any user can create a directory there, so its owner is
//!    checked.
//!
//! The name of a socket is `PID.sock`. A process holds the lock of the directory while it creates its socket, and while
//! it removes the socket of a killed process. So no process removes a socket on which another process with the same
//! process id is about to listen:
//!
//! * A process removes such a socket only if it has no listener, and checks that while it holds the lock.
//! * A new socket looks the same between `bind` and `listen`. Its process holds the lock during both.
//!
//! A process removes its own socket without the lock, while it still listens, so no other process has replaced it.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::escape::Escaped;
use crate::os::socket::{self, Lock};
use crate::os::{env, process};

pub use crate::os::process::{ProcessState, process_state, user};
pub use crate::os::socket::SocketState;

/// The longest time to wait for the lock. Another process needs it for some microseconds, but may have been stopped
/// while it held the lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// The time between two attempts to take the lock.
const RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// The longest name of a socket.
#[cfg(feature = "attach")]
const MAX_NAME: usize = "/4294967295.sock".len();

/// A checked directory of sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketDirectory {
    path: PathBuf,
    /// The owner of the directory.
    user: u32,
}

/// The reason why a directory is not used.
#[derive(Debug)]
#[non_exhaustive]
pub enum UnsuitableDirectory {
    /// The path is not a directory, or is a symbolic link.
    NoDirectory(PathBuf),
    /// The directory belongs to another user.
    Foreign {
        /// The directory.
        path: PathBuf,
        /// The user id of the owner.
        owner: u32,
    },
    /// The directory gives rights to others.
    Open {
        /// The directory.
        path: PathBuf,
        /// The permission bits of the directory.
        mode: u32,
    },
    /// The system refused to inspect or to make the directory.
    Refused(PathBuf, io::Error),
}

impl fmt::Display for UnsuitableDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDirectory(path) => write!(
                f,
                "{} is not a directory, or is a symbolic link, which is not followed: remove it",
                Escaped(path.display())
            ),
            Self::Foreign { path, owner } => write!(
                f,
                "{} belongs to the user with the ID {owner}, and is not used: \
                 set XDG_RUNTIME_DIR to a directory of your own",
                Escaped(path.display())
            ),
            Self::Open { path, mode } => write!(
                f,
                "other users have access to {} (mode {mode:04o}): remove it, or chmod 700 {0}",
                Escaped(path.display())
            ),
            Self::Refused(path, error) => write!(f, "{}: {error}", Escaped(path.display())),
        }
    }
}

impl SocketDirectory {
    /// Returns the directory for the socket of this process. Creates the directory if it does not exist.
    ///
    /// # Errors
    ///
    /// Returns the reason if the directory is not safe to use.
    #[cfg(feature = "attach")]
    pub(super) fn ours() -> Result<Self, UnsuitableDirectory> {
        let user = process::user();
        let parents = parents(user);
        let suitable = parents.iter().find(|parent| parent.is_suitable(user));
        let Some(parent) = suitable.or(parents.last()) else {
            let error = io::ErrorKind::NotFound.into();
            return Err(UnsuitableDirectory::Refused(
                env::temporary_directory(),
                error,
            ));
        };
        let path = parent.directory();
        match socket::create_directory(&path) {
            Ok(()) => Self::check(path, user),
            Err(error) => Err(UnsuitableDirectory::Refused(path, error)),
        }
    }

    /// Returns the existing directories in which the processes of a user may have their sockets.
    pub fn all_of(user: u32) -> Vec<Result<Self, UnsuitableDirectory>> {
        let paths = parents(user).into_iter().map(|parent| parent.directory());
        let there = paths.filter(|path| fs::symlink_metadata(path).is_ok());
        there.map(|path| Self::check(path, user)).collect()
    }

    fn check(path: PathBuf, user: u32) -> Result<Self, UnsuitableDirectory> {
        let found = match socket::directory(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(UnsuitableDirectory::NoDirectory(path));
            }
            Err(error) => return Err(UnsuitableDirectory::Refused(path, error)),
        };
        if found.owner != user {
            let owner = found.owner;
            return Err(UnsuitableDirectory::Foreign { path, owner });
        }
        if found.mode & 0o077 != 0 {
            let mode = found.mode;
            return Err(UnsuitableDirectory::Open { path, mode });
        }
        Ok(Self { path, user })
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the socket of a process.
    pub fn socket(&self, process: u32) -> PathBuf {
        self.path.join(format!("{process}.sock"))
    }

    /// Returns the ids of the processes that have or had a socket in the directory, in ascending order.
    ///
    /// # Errors
    ///
    /// Returns an error if the directory cannot be read.
    pub fn processes(&self) -> io::Result<Vec<u32>> {
        let mut processes = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".sock"));
            // Only the exact text that `socket` writes is accepted: no sign and no leading zeros.
            let number = number.and_then(|it| Some((it, it.parse::<u32>().ok()?)));
            processes.extend(
                number
                    .filter(|(text, it)| it.to_string() == *text)
                    .map(|(_, it)| it),
            );
        }
        processes.sort_unstable();
        Ok(processes)
    }

    /// Returns the state of the socket of a process.
    ///
    /// # Errors
    ///
    /// Returns an error if the system refuses to inspect the socket.
    pub fn socket_state(&self, process: u32) -> io::Result<SocketState> {
        socket::socket_state(&self.socket(process))
    }

    /// Removes the socket of a process if it has no listener. Returns `true` if the socket was removed.
    ///
    /// Returns `Ok(false)` if another process holds the lock, or if the directory belongs to another user. This applies
    /// to root as well, because root would create a lock file that the user cannot open.
    ///
    /// # Errors
    ///
    /// Returns an error if the system refuses to inspect or to remove the socket.
    pub fn remove_stale(&self, process: u32) -> io::Result<bool> {
        if self.user != process::user() {
            return Ok(false);
        }
        match self.lock()? {
            Some(lock) => self.remove_stale_in(&lock, process),
            None => Ok(false),
        }
    }

    pub(super) fn remove_stale_in(&self, _lock: &Lock, process: u32) -> io::Result<bool> {
        let is_stale = self.socket_state(process)? == SocketState::Stale;
        if is_stale {
            fs::remove_file(self.socket(process))?;
        }
        Ok(is_stale)
    }

    /// Takes the lock of the directory. Returns `None` if another process does not release it in time.
    pub(super) fn lock(&self) -> io::Result<Option<Lock>> {
        let path = self.path.join("lock");
        let begun = Instant::now();
        loop {
            if let Some(lock) = Lock::try_take(&path)? {
                return Ok(Some(lock));
            }
            if begun.elapsed() >= LOCK_TIMEOUT {
                return Ok(None);
            }
            thread::sleep(RETRY_INTERVAL);
        }
    }
}

/// The parent of a directory of sockets.
enum ParentDirectory {
    /// A directory of the user.
    Runtime(PathBuf),
    /// A directory that all users share, and the id of the user.
    Temporary(PathBuf, u32),
}

/// Returns the possible parents in the order in which they are tried. The last one always exists.
fn parents(user: u32) -> Vec<ParentDirectory> {
    let mut parents = Vec::new();
    let named = env::var("XDG_RUNTIME_DIR").map(PathBuf::from);
    // The variable applies to this user, and not to another user. Its specification says that a relative path is
    // ignored.
    if let Some(path) = named.filter(|path| user == process::user() && path.is_absolute()) {
        parents.push(ParentDirectory::Runtime(path));
    }
    parents.push(ParentDirectory::Runtime(PathBuf::from(format!(
        "/run/user/{user}"
    ))));
    parents.push(ParentDirectory::Temporary(env::temporary_directory(), user));
    // A process without `TMPDIR` has its socket here.
    parents.push(ParentDirectory::Temporary(PathBuf::from("/tmp"), user));
    let mut seen = Vec::new();
    parents.retain(|parent| {
        let path = parent.directory();
        let is_new = !seen.contains(&path);
        seen.push(path);
        is_new
    });
    parents
}

impl ParentDirectory {
    fn directory(&self) -> PathBuf {
        match self {
            Self::Runtime(path) => path.join("tasktrace"),
            Self::Temporary(path, user) => path.join(format!("tasktrace-{user}")),
        }
    }

    /// Returns `true` if no other user can replace a directory in this parent.
    #[cfg(feature = "attach")]
    fn is_suitable(&self, user: u32) -> bool {
        const WRITE: u32 = 0o022;
        const STICKY: u32 = 0o1000;
        let path = self.directory();
        if path.as_os_str().len() + MAX_NAME > socket::MAX_PATH {
            return false;
        }
        match self {
            Self::Runtime(path) => socket::directory(path)
                .is_ok_and(|found| found.owner == user && found.mode & WRITE == 0),
            // The path may be a symbolic link, as `/tmp` is on some systems. Only its owner or root can have made that
            // link.
            Self::Temporary(path, _) => fs::canonicalize(path)
                .and_then(|path| socket::directory(&path))
                .is_ok_and(|found| {
                    [0, user].contains(&found.owner)
                        && (found.mode & WRITE == 0 || found.mode & STICKY != 0)
                }),
        }
    }
}

#[cfg(all(test, feature = "attach"))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    struct TestSocketDirectory(PathBuf);

    impl TestSocketDirectory {
        fn new(name: &str) -> Self {
            let name = format!("tasktrace-directory-{name}-{}", process_id());
            let path = env::temporary_directory().join(name);
            socket::create_directory(&path).expect("it can be created");
            Self(path)
        }

        fn directory(&self) -> SocketDirectory {
            SocketDirectory::check(self.0.clone(), process::user()).expect("it is ours")
        }
    }

    impl Drop for TestSocketDirectory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn process_id() -> u32 {
        std::process::id()
    }

    fn chmod(path: &Path, mode: u32) {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(path, permissions).expect("it is ours");
    }

    #[test]
    fn unsafe_directories_are_refused() {
        let directory = TestSocketDirectory::new("unsuitable");
        let user = process::user();
        let path = directory.0.clone();
        assert!(SocketDirectory::check(path.clone(), user).is_ok());

        let foreign = SocketDirectory::check(path.clone(), user + 1);
        assert!(
            matches!(foreign, Err(UnsuitableDirectory::Foreign { owner, .. }) if owner == user)
        );
        for mode in [0o750, 0o705, 0o770, 0o1777] {
            chmod(&path, mode);
            let open = SocketDirectory::check(path.clone(), user);
            assert!(matches!(open, Err(UnsuitableDirectory::Open { mode: it, .. }) if it == mode));
        }
        chmod(&path, 0o700);

        let link = path.join("link");
        symlink(&path, &link).expect("it can be created");
        assert!(matches!(
            SocketDirectory::check(link, user),
            Err(UnsuitableDirectory::NoDirectory(_))
        ));
        let missing = SocketDirectory::check(path.join("missing"), user);
        assert!(matches!(missing, Err(UnsuitableDirectory::Refused(..))));
    }

    #[test]
    fn unsafe_parents_are_refused() {
        let user = process::user();
        let directory = TestSocketDirectory::new("parents");
        let runtime = ParentDirectory::Runtime(directory.0.clone());
        let temporary = ParentDirectory::Temporary(directory.0.clone(), user);
        for (mode, suitable) in [
            (0o700, [true, true]),
            (0o755, [true, true]),
            (0o770, [false, false]),
            (0o777, [false, false]),
            (0o1777, [false, true]),
        ] {
            chmod(&directory.0, mode);
            let found = [runtime.is_suitable(user), temporary.is_suitable(user)];
            assert_eq!(found, suitable, "{mode:o}");
        }
        chmod(&directory.0, 0o755);
        assert!(!runtime.is_suitable(user + 1));
        assert!(!ParentDirectory::Runtime(directory.0.join("missing")).is_suitable(user));
        let long = ParentDirectory::Runtime(PathBuf::from(format!("/{}", "a/".repeat(60))));
        assert!(!long.is_suitable(user));
    }

    #[test]
    fn only_sockets_without_a_listener_are_removed() {
        let directory = TestSocketDirectory::new("stale");
        let directory = directory.directory();
        let live = UnixListener::bind(directory.socket(1)).expect("it can be bound");
        drop(UnixListener::bind(directory.socket(2)).expect("it can be bound"));
        symlink(directory.socket(2), directory.socket(3)).expect("it can be created");
        fs::write(directory.socket(4), "precious").expect("it can be written");
        for name in ["lock", "x.sock", "+5.sock", "05.sock", "6.sock~", "-7.sock"] {
            fs::write(directory.path().join(name), "").expect("it can be written");
        }
        assert_eq!(directory.processes().expect("it can be read"), [1, 2, 3, 4]);
        let removed = [1, 2, 3, 4, 5].map(|it| directory.remove_stale(it).expect("it is known"));
        assert_eq!(removed, [false, true, false, false, false]);
        assert_eq!(directory.processes().expect("it can be read"), [1, 3, 4]);
        drop(live);
        assert!(directory.remove_stale(1).expect("it is known"));
    }

    /// A socket is not removed while another process holds the lock.
    #[test]
    fn nothing_is_removed_without_the_lock() {
        let directory = TestSocketDirectory::new("locked");
        let directory = directory.directory();
        drop(UnixListener::bind(directory.socket(1)).expect("it can be bound"));
        let lock = directory
            .lock()
            .expect("it can be made")
            .expect("no process has it");
        assert!(!directory.remove_stale(1).expect("it is known"));
        drop(lock);
        assert!(directory.remove_stale(1).expect("it is known"));
    }
}
