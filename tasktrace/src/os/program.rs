//! The file of this program, which debug information is read from.

use std::io;

/// Opens and maps the file, and lets go of it again.
///
/// # Errors
///
/// If the system refuses it for want of something that there may be more of later: file descriptors or memory.
/// A file that is not there is no error: it will not come back.
pub(crate) fn try_to_map() -> io::Result<()> {
    match map() {
        Err(error) if is_passing(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Returns `true` if the system may do later what it has refused, for want of file descriptors or memory.
#[cfg(target_os = "linux")]
pub(crate) fn is_passing(error: &io::Error) -> bool {
    const PASSING: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EAGAIN];
    error.raw_os_error().is_some_and(|it| PASSING.contains(&it))
}

#[cfg(target_os = "linux")]
fn map() -> io::Result<()> {
    use std::os::fd::AsRawFd;
    use std::ptr;

    let file = std::fs::File::open("/proc/self/exe")?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    // SAFETY: the system chooses a place where nothing is mapped, so no memory that is in use changes.
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
pub(crate) fn is_passing(_: &io::Error) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn map() -> io::Result<()> {
    Ok(())
}
