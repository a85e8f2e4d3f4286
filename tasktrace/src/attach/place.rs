//! Where the sockets are: a directory of the user's that nobody else can reach into.
//!
//! The first of these whose parent is fit for it:
//!
//! 1. `$XDG_RUNTIME_DIR/tasktrace`
//! 2. `/run/user/UID/tasktrace`
//! 3. `tasktrace-UID` in the directory for temporary files, where everybody can make one: so whose it
//!    is, is looked at.
//!
//! A socket in it is called `PID.sock`. Who makes or removes one holds the lock of the directory. So
//! nobody removes a socket that another process of the same number is about to listen to:
//!
//! * A socket is removed if nobody listens to it, which is found out with the lock held.
//! * Between the moment when a socket gets its name and the one when it is listened to, it looks the
//!   same. It is in the lock that both happen.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::escape::Escaped;
use crate::os::socket::{self, Lock};
use crate::os::{env, process};

pub use crate::os::process::{Alive, alive, user};
pub use crate::os::socket::Listener;

/// The longest time to wait for the lock. Another process needs it for some microseconds, but may have been stopped
/// while it held the lock.
const PATIENCE: Duration = Duration::from_secs(1);

/// The time between two attempts.
const PAUSE: Duration = Duration::from_millis(5);

/// The longest name of a socket.
#[cfg(feature = "attach")]
const LONGEST_NAME: usize = "/4294967295.sock".len();

/// A checked directory of sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    /// The owner of the directory.
    user: u32,
}

/// Why a directory is not used.
#[derive(Debug)]
#[non_exhaustive]
pub enum Unsuitable {
    /// The path is not a directory, or is a symbolic link.
    NoDirectory(PathBuf),
    /// The directory belongs to another user.
    Foreign {
        /// The directory.
        path: PathBuf,
        /// The number of the user.
        owner: u32,
    },
    /// The directory gives rights to others.
    Open {
        /// The directory.
        path: PathBuf,
        /// The rights.
        mode: u32,
    },
    /// The system refused to inspect or to make the directory.
    Refused(PathBuf, io::Error),
}

impl fmt::Display for Unsuitable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDirectory(path) => write!(
                f,
                "{} is no directory, or a symbolic link to one, which is not followed: remove it",
                Escaped(path.display())
            ),
            Self::Foreign { path, owner } => write!(
                f,
                "{} belongs to the user with the number {owner}, and is not used: \
                 set XDG_RUNTIME_DIR to a directory of your own",
                Escaped(path.display())
            ),
            Self::Open { path, mode } => write!(
                f,
                "others have rights to {} (mode {mode:04o}): remove it, or chmod 700 {0}",
                Escaped(path.display())
            ),
            Self::Refused(path, error) => write!(f, "{}: {error}", Escaped(path.display())),
        }
    }
}

impl Place {
    /// Where this process has its socket. Makes the directory if there is none.
    ///
    /// # Errors
    ///
    /// If it is not safe to use.
    #[cfg(feature = "attach")]
    pub(super) fn ours() -> Result<Self, Unsuitable> {
        let user = process::user();
        let bases = bases(user);
        let fit = bases.iter().find(|base| base.is_fit(user));
        let Some(base) = fit.or(bases.last()) else {
            let error = io::ErrorKind::NotFound.into();
            return Err(Unsuitable::Refused(env::temporary_directory(), error));
        };
        let path = base.directory();
        match socket::create_directory(&path) {
            Ok(()) => Self::check(path, user),
            Err(error) => Err(Unsuitable::Refused(path, error)),
        }
    }

    /// Where a user's processes may have their sockets: those directories that there are.
    pub fn all_of(user: u32) -> Vec<Result<Self, Unsuitable>> {
        let paths = bases(user).into_iter().map(|base| base.directory());
        let there = paths.filter(|path| fs::symlink_metadata(path).is_ok());
        there.map(|path| Self::check(path, user)).collect()
    }

    fn check(path: PathBuf, user: u32) -> Result<Self, Unsuitable> {
        let found = match socket::directory(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(Unsuitable::NoDirectory(path));
            }
            Err(error) => return Err(Unsuitable::Refused(path, error)),
        };
        if found.owner != user {
            let owner = found.owner;
            return Err(Unsuitable::Foreign { path, owner });
        }
        if found.mode & 0o077 != 0 {
            let mode = found.mode;
            return Err(Unsuitable::Open { path, mode });
        }
        Ok(Self { path, user })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The socket of a process.
    pub fn socket(&self, process: u32) -> PathBuf {
        self.path.join(format!("{process}.sock"))
    }

    /// The processes that have, or had, a socket here.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn processes(&self) -> io::Result<Vec<u32>> {
        let mut processes = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".sock"));
            // As we write it: without a sign or zeros before it.
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

    /// Who is behind the socket of a process.
    ///
    /// # Errors
    ///
    /// If it cannot be found out.
    pub fn listener(&self, process: u32) -> io::Result<Listener> {
        socket::listener(&self.socket(process))
    }

    /// Removes the socket of a process if nobody listens to it. Whether it did.
    ///
    /// # Errors
    ///
    /// If it cannot be found out, or not be removed. It is no error if another process has the lock, or
    /// if the directory is another user's: even for root, who would make a lock that they could not
    /// take.
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
        let is_stale = self.listener(process)? == Listener::Gone;
        if is_stale {
            fs::remove_file(self.socket(process))?;
        }
        Ok(is_stale)
    }

    /// The lock of the directory, or `None` if another process does not let go of it.
    pub(super) fn lock(&self) -> io::Result<Option<Lock>> {
        let path = self.path.join("lock");
        let begun = Instant::now();
        loop {
            if let Some(lock) = Lock::try_take(&path)? {
                return Ok(Some(lock));
            }
            if begun.elapsed() >= PATIENCE {
                return Ok(None);
            }
            thread::sleep(PAUSE);
        }
    }
}

/// What the directory is made in.
enum Base {
    /// A directory of the user's own.
    Runtime(PathBuf),
    /// A directory of everybody's, and the user.
    Temporary(PathBuf, u32),
}

/// In the order in which they are looked at. The last is always there.
fn bases(user: u32) -> Vec<Base> {
    let mut bases = Vec::new();
    let named = env::var("XDG_RUNTIME_DIR").map(PathBuf::from);
    // That is ours, and not another user's. By its specification, what is relative is ignored.
    if let Some(path) = named.filter(|path| user == process::user() && path.is_absolute()) {
        bases.push(Base::Runtime(path));
    }
    bases.push(Base::Runtime(PathBuf::from(format!("/run/user/{user}"))));
    bases.push(Base::Temporary(env::temporary_directory(), user));
    // That of a process which has been told of no other.
    bases.push(Base::Temporary(PathBuf::from("/tmp"), user));
    let mut seen = Vec::new();
    bases.retain(|base| {
        let path = base.directory();
        let is_new = !seen.contains(&path);
        seen.push(path);
        is_new
    });
    bases
}

impl Base {
    fn directory(&self) -> PathBuf {
        match self {
            Self::Runtime(path) => path.join("tasktrace"),
            Self::Temporary(path, user) => path.join(format!("tasktrace-{user}")),
        }
    }

    /// Whether a directory in it stays what it is: nobody else can move it away.
    #[cfg(feature = "attach")]
    fn is_fit(&self, user: u32) -> bool {
        const WRITE: u32 = 0o022;
        const STICKY: u32 = 0o1000;
        let path = self.directory();
        if path.as_os_str().len() + LONGEST_NAME > socket::LONGEST {
            return false;
        }
        match self {
            Self::Runtime(path) => socket::directory(path)
                .is_ok_and(|found| found.owner == user && found.mode & WRITE == 0),
            // It may be a link, which only its owner or the system's can have made: as `/tmp` is on
            // some systems.
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

    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str) -> Self {
            let name = format!("tasktrace-place-{name}-{}", process_id());
            let path = env::temporary_directory().join(name);
            socket::create_directory(&path).expect("it can be created");
            Self(path)
        }

        fn place(&self) -> Place {
            Place::check(self.0.clone(), process::user()).expect("it is ours")
        }
    }

    impl Drop for Temporary {
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
    fn directories_that_are_not_used() {
        let directory = Temporary::new("unsuitable");
        let user = process::user();
        let path = directory.0.clone();
        assert!(Place::check(path.clone(), user).is_ok());

        let foreign = Place::check(path.clone(), user + 1);
        assert!(matches!(foreign, Err(Unsuitable::Foreign { owner, .. }) if owner == user));
        for mode in [0o750, 0o705, 0o770, 0o1777] {
            chmod(&path, mode);
            let open = Place::check(path.clone(), user);
            assert!(matches!(open, Err(Unsuitable::Open { mode: it, .. }) if it == mode));
        }
        chmod(&path, 0o700);

        let link = path.join("link");
        symlink(&path, &link).expect("it can be created");
        assert!(matches!(
            Place::check(link, user),
            Err(Unsuitable::NoDirectory(_))
        ));
        let missing = Place::check(path.join("missing"), user);
        assert!(matches!(missing, Err(Unsuitable::Refused(..))));
    }

    #[test]
    fn parents_that_are_not_used() {
        let user = process::user();
        let directory = Temporary::new("parents");
        let runtime = Base::Runtime(directory.0.clone());
        let temporary = Base::Temporary(directory.0.clone(), user);
        for (mode, fit) in [
            (0o700, [true, true]),
            (0o755, [true, true]),
            (0o770, [false, false]),
            (0o777, [false, false]),
            (0o1777, [false, true]),
        ] {
            chmod(&directory.0, mode);
            let found = [runtime.is_fit(user), temporary.is_fit(user)];
            assert_eq!(found, fit, "{mode:o}");
        }
        chmod(&directory.0, 0o755);
        assert!(!runtime.is_fit(user + 1));
        assert!(!Base::Runtime(directory.0.join("missing")).is_fit(user));
        let long = Base::Runtime(PathBuf::from(format!("/{}", "a/".repeat(60))));
        assert!(!long.is_fit(user));
    }

    #[test]
    fn only_sockets_that_nobody_listens_to_are_removed() {
        let directory = Temporary::new("stale");
        let place = directory.place();
        let live = UnixListener::bind(place.socket(1)).expect("it can be bound");
        drop(UnixListener::bind(place.socket(2)).expect("it can be bound"));
        symlink(place.socket(2), place.socket(3)).expect("it can be created");
        fs::write(place.socket(4), "precious").expect("it can be written");
        for name in ["lock", "x.sock", "+5.sock", "05.sock", "6.sock~", "-7.sock"] {
            fs::write(place.path().join(name), "").expect("it can be written");
        }
        assert_eq!(place.processes().expect("it can be read"), [1, 2, 3, 4]);
        let removed = [1, 2, 3, 4, 5].map(|it| place.remove_stale(it).expect("it is known"));
        assert_eq!(removed, [false, true, false, false, false]);
        assert_eq!(place.processes().expect("it can be read"), [1, 3, 4]);
        drop(live);
        assert!(place.remove_stale(1).expect("it is known"));
    }

    /// What somebody else is about to do to it is waited for.
    #[test]
    fn nothing_is_removed_without_the_lock() {
        let directory = Temporary::new("locked");
        let place = directory.place();
        drop(UnixListener::bind(place.socket(1)).expect("it can be bound"));
        let lock = place
            .lock()
            .expect("it can be made")
            .expect("nobody has it");
        assert!(!place.remove_stale(1).expect("it is known"));
        drop(lock);
        assert!(place.remove_stale(1).expect("it is known"));
    }
}
