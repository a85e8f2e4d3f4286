//! Files that nobody else may read.

use std::fs::File;
use std::io;
use std::path::Path;

/// Who may do what: the owner may read and write.
#[cfg(unix)]
const MODE: u32 = 0o600;

/// Creates a file, for its owner only where the system knows owners.
///
/// # Errors
///
/// If there is something of this name, be it a symbolic link that leads nowhere, or if the system
/// refuses it.
#[cfg(unix)]
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    use std::fs::{OpenOptions, Permissions};
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    // The process may be one that takes permissions from whatever it creates. This can only give
    // them back, and there are file systems that have none.
    let _ = file.set_permissions(Permissions::from_mode(MODE));
    Ok(file)
}

#[cfg(not(unix))]
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    File::create_new(path)
}
