//! Replaces files as a whole: a reader sees the old contents or the new contents, never a part.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::os::file::create_private;

/// The number of further temporary names that are tried if a name is taken. A killed process that had the same process
/// id may have left such files.
const FURTHER_NAMES: usize = 100;

/// Writes a file that only its owner can access, and replaces an existing file.
///
/// A reader sees either the old contents or the new contents. If there is an error, the old contents remain. A symbolic
/// link is replaced, and the target of the link is left alone. A path that is not a regular file, such as a terminal or
/// a pipe, is refused. Wine and old versions of Windows refuse to replace a file that a reader has open.
///
/// The file is not synchronised to the disk: after a failure of the system the file may be empty.
///
/// # Errors
///
/// Returns the error of `contents`, or an error if the path is refused or the system refuses an operation.
pub(crate) fn replace(
    path: &Path,
    contents: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    check_is_replaceable(path)?;
    let (temporary, file) = TemporaryFile::beside(path)?;
    let mut out = BufWriter::new(file);
    contents(&mut out)?;
    // Closes the file: some systems cannot rename an open file.
    drop(out.into_inner()?);
    temporary.rename(path)
}

/// Returns an error if the path exists and is not a regular file, or is in `/dev`.
fn check_is_replaceable(path: &Path) -> io::Result<()> {
    let refuse = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if path.file_name().is_none() {
        return refuse("the path does not name a file");
    }
    // `metadata` follows links: no user means to replace `/dev/stderr`, even if the process has the right to. A user
    // who can place a link here could also prevent the process from creating a file.
    let is_file = fs::metadata(path).map_or(true, |found| found.is_file());
    if !is_file || path.parent() == Some(Path::new("/dev")) {
        return refuse("the path exists, but is not a regular file");
    }
    Ok(())
}

/// A temporary file, which is removed when this value is dropped.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    /// Creates a temporary file in the directory of `path`, so that both are in the same file system.
    fn beside(path: &Path) -> io::Result<(Self, fs::File)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let process = crate::os::process_id();
        let mut tries = 0..FURTHER_NAMES;
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let temporary = path.with_file_name(format!(".tasktrace-{process}-{count}.tmp"));
            match create_private(&temporary) {
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && tries.next().is_some() => {}
                created => return created.map(|file| (Self(temporary), file)),
            }
        }
    }

    fn rename(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.0, path)
        // The drop tries to remove the old name, which no longer exists. No other process uses a name with this process
        // id.
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// A directory that a test creates and removes.
    struct TestDirectory(PathBuf);

    impl TestDirectory {
        fn new(name: &str) -> Self {
            let name = format!("tasktrace-file-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).expect("it can be created");
            Self(path)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        /// Returns `true` if this system can replace a file that is open.
        fn lets_open_files_be_replaced(&self) -> bool {
            let (open, other) = (self.path("open"), self.path("other"));
            fs::write(&other, "").expect("it can be written");
            let file = fs::File::create(&open).expect("it can be created");
            let is_replaced = fs::rename(&other, &open).is_ok();
            drop(file);
            let _ = fs::remove_file(&other);
            fs::remove_file(&open).expect("it is closed");
            is_replaced
        }

        #[track_caller]
        fn assert_holds(&self, names: &[&str]) {
            let entries = fs::read_dir(&self.0).expect("it can be read");
            let mut found: Vec<_> = entries
                .map(|entry| entry.expect("it can be read").file_name())
                .collect();
            found.sort();
            assert_eq!(found, names);
        }
    }

    impl Drop for TestDirectory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn text(text: &str) -> impl FnOnce(&mut dyn Write) -> io::Result<()> + '_ {
        |out| out.write_all(text.as_bytes())
    }

    #[test]
    fn readers_see_the_old_or_the_new_contents() {
        let directory = TestDirectory::new("readers");
        let path = directory.path("dump");
        replace(&path, text("old")).expect("it can be written");
        let reader = match directory.lets_open_files_be_replaced() {
            true => Some(fs::File::open(&path).expect("it is there")),
            false => {
                eprintln!(
                    "not tested: this system refuses to replace a file that a reader has open"
                );
                None
            }
        };

        let long = "new ".repeat(10_000);
        let written = replace(&path, |out| {
            out.write_all(long.as_bytes())?;
            assert_eq!(fs::read_to_string(&path)?, "old");
            Ok(())
        });
        written.expect("it can be written");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), long);
        directory.assert_holds(&["dump"]);

        if let Some(mut reader) = reader {
            let mut old = String::new();
            reader.read_to_string(&mut old).expect("it is open");
            assert_eq!(old, "old");
        }
    }

    #[test]
    fn a_failed_write_leaves_no_temporary_file() {
        let directory = TestDirectory::new("fails");
        let path = directory.path("dump");
        let fails = |out: &mut dyn Write| {
            out.write_all(b"half")?;
            out.flush()?;
            Err(io::Error::other("no more"))
        };
        let error = replace(&path, fails).expect_err("it fails");
        assert_eq!(error.to_string(), "no more");
        directory.assert_holds(&[]);

        replace(&path, text("old")).expect("it can be written");
        replace(&path, fails).expect_err("it fails");
        let panics = || replace(&path, |_| panic!("in the middle of it"));
        std::panic::catch_unwind(panics).expect_err("it panics");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "old");
        directory.assert_holds(&["dump"]);
    }

    #[test]
    fn paths_that_are_not_regular_files_are_refused() {
        let directory = TestDirectory::new("no-file");
        let inside = directory.path("directory");
        fs::create_dir(&inside).expect("it can be created");
        for path in [&*inside, Path::new(""), Path::new("/"), Path::new("..")] {
            let error = replace(path, |_| unreachable!("it is not written"));
            let error = error.expect_err("it is no file");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        directory.assert_holds(&["directory"]);

        let missing = directory.path("missing").join("dump");
        let error = replace(&missing, text("new")).expect_err("there is no directory");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    mod unix {
        use std::os::unix::fs::{PermissionsExt, symlink};

        use super::*;

        #[test]
        fn the_file_is_accessible_to_the_owner_only() {
            let directory = TestDirectory::new("owner");
            let path = directory.path("dump");
            fs::write(&path, "old").expect("it can be written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("it is ours");
            replace(&path, text("new")).expect("it can be written");
            let found = fs::metadata(&path).expect("it is there");
            assert_eq!(found.permissions().mode() & 0o7777, 0o600);
        }

        #[test]
        fn symbolic_links_are_replaced_and_not_followed() {
            let directory = TestDirectory::new("links");
            let victim = directory.path("victim");
            fs::write(&victim, "precious").expect("it can be written");
            let path = directory.path("dump");
            for target in [&victim, &directory.path("nothing")] {
                symlink(target, &path).expect("it can be created");
                replace(&path, text("new")).expect("it can be written");
                let found = fs::symlink_metadata(&path).expect("it is there");
                assert!(found.is_file());
                assert_eq!(fs::read_to_string(&path).expect("it is there"), "new");
                fs::remove_file(&path).expect("it is there");
            }
            assert_eq!(
                fs::read_to_string(&victim).expect("it is there"),
                "precious"
            );
            directory.assert_holds(&["victim"]);
        }

        /// A link to a device is not replaced either.
        #[test]
        fn devices_are_not_replaced() {
            let directory = TestDirectory::new("devices");
            let path = directory.path("dump");
            symlink("/dev/null", &path).expect("it can be created");
            for path in [&*path, Path::new("/dev/null"), Path::new("/dev/stderr")] {
                let error = replace(path, |_| unreachable!("it is not written"));
                let error = error.expect_err("it is no file");
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            }
            directory.assert_holds(&["dump"]);
        }

        #[test]
        fn taken_temporary_names_are_skipped() {
            let directory = TestDirectory::new("taken");
            let path = directory.path("dump");
            let (first, file) = TemporaryFile::beside(&path).expect("it can be created");
            drop(file);
            let name = first.0.file_name().expect("it has one").to_owned();
            let count = name.to_string_lossy();
            let count = count.rsplit('-').next().and_then(|it| it.split('.').next());
            let count: u64 = count.and_then(|it| it.parse().ok()).expect("it is counted");
            let taken = format!(".tasktrace-{}-{}.tmp", std::process::id(), count + 1);
            symlink("nothing", directory.path(&taken)).expect("it can be created");
            drop(first);
            replace(&path, text("new")).expect("it can be written");
            let mut names = ["dump", &taken];
            names.sort_unstable();
            directory.assert_holds(&names);
        }
    }
}
