//! Creates files that only their owner can access.

use std::fs::File;
use std::io;
use std::path::Path;

/// The permission bits: the owner may read and write.
#[cfg(unix)]
const MODE: u32 = 0o600;

/// Creates a file that only its owner can access, on systems with owners.
///
/// # Errors
///
/// Returns an error if the path exists, even as a symbolic link without a target, or if the system refuses the file.
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
    // The umask may have removed permissions of the owner, and this call restores them. It may fail, because some file
    // systems have no permissions.
    let _ = file.set_permissions(Permissions::from_mode(MODE));
    Ok(file)
}

#[cfg(not(unix))]
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    File::create_new(path)
}
