//! Checks if the file of this program can be opened for its debug information, and if it is still there.

use std::io;

/// Opens and maps the file of this program, and unmaps it again.
///
/// # Errors
///
/// Returns an error if the system refuses for a lack of file descriptors or memory, which may be temporary. A missing
/// file is not an error, because it will not come back.
pub(crate) fn try_to_map() -> io::Result<()> {
    match map() {
        Err(error) if is_temporary(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Returns `true` if the file was removed or replaced since the program was started, as by an update or a build. Then
/// its debug information can no longer be read.
#[cfg(target_os = "linux")]
pub(crate) fn is_file_gone() -> bool {
    use std::os::unix::fs::MetadataExt;

    // The system follows this link to the program's own file, even if that has no path any more.
    const FILE: &str = "/proc/self/exe";
    let identity = |path: &std::path::Path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.dev(), found.ino()))
    };
    let Some(running) = identity(FILE.as_ref()) else {
        return false;
    };
    std::fs::read_link(FILE).is_ok_and(|path| match identity(&path) {
        Some(found) => found != running,
        // The system marks the path of a removed file. Without the mark, the path belongs to another root directory.
        None => path.as_os_str().as_encoded_bytes().ends_with(b" (deleted)"),
    })
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_file_gone() -> bool {
    false
}

/// Returns `true` if an error is a lack of file descriptors or memory, which may be temporary.
#[cfg(target_os = "linux")]
pub(crate) fn is_temporary(error: &io::Error) -> bool {
    const TEMPORARY: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EAGAIN];
    error
        .raw_os_error()
        .is_some_and(|it| TEMPORARY.contains(&it))
}

#[cfg(target_os = "linux")]
fn map() -> io::Result<()> {
    use std::os::fd::AsRawFd;
    use std::ptr;

    let file = std::fs::File::open("/proc/self/exe")?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    // SAFETY: the system chooses an address range where nothing is mapped, so no memory in use changes.
    let mapped = unsafe {
        libc::mmap(
            ptr::null_mut(),
            length,
            libc::PROT_READ,
            libc::MAP_PRIVATE,
            file.as_raw_fd(),
            0,
        )
    };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the pages were mapped above with this length, and no reference into them exists.
    unsafe { libc::munmap(mapped, length) };
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_temporary(_: &io::Error) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn map() -> io::Result<()> {
    Ok(())
}
