//! Saves and restores `errno`, which a signal handler must leave unchanged.

use std::ffi::c_int;

/// The saved `errno` of this thread, which is restored when this value is dropped. Async-signal-safe.
#[must_use = "it is set back when this is dropped"]
pub(crate) struct SavedErrno(c_int);

impl SavedErrno {
    pub(crate) fn save() -> Self {
        // SAFETY: `location` returns null, or the address of this thread's `errno`, which is valid as long as the
        // thread runs.
        Self(unsafe { location().as_ref() }.copied().unwrap_or(0))
    }
}

impl Drop for SavedErrno {
    fn drop(&mut self) {
        // SAFETY: `location` returns null, or the address of this thread's `errno`, which is valid as long as the
        // thread runs. No other thread accesses it, and no reference to it exists, because `save` only copied the
        // value.
        if let Some(errno) = unsafe { location().as_mut() } {
            *errno = self.0;
        }
    }
}

/// Returns the address of this thread's `errno`, or null if the function for that is unknown on this system.
fn location() -> *mut c_int {
    #[cfg(any(
        target_os = "linux",
        target_os = "emscripten",
        target_os = "fuchsia",
        target_os = "hurd",
        target_os = "redox",
        target_os = "l4re",
        target_os = "dragonfly"
    ))]
    use libc::__errno_location as location;

    #[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
    use libc::__errno as location;

    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    use libc::__error as location;

    #[cfg(any(target_os = "illumos", target_os = "solaris"))]
    use libc::___errno as location;

    #[cfg(not(any(
        target_os = "linux",
        target_os = "emscripten",
        target_os = "fuchsia",
        target_os = "hurd",
        target_os = "redox",
        target_os = "l4re",
        target_os = "dragonfly",
        target_os = "android",
        target_os = "netbsd",
        target_os = "openbsd",
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "illumos",
        target_os = "solaris"
    )))]
    unsafe fn location() -> *mut c_int {
        std::ptr::null_mut()
    }

    // SAFETY: the function has no arguments and no preconditions on any of these systems, and is async-signal-safe.
    unsafe { location() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn drop_restores_the_saved_errno() {
        let number = || std::io::Error::last_os_error().raw_os_error();
        // SAFETY: `close` takes a number, and no file has the descriptor -1, so no file is closed.
        assert_eq!(unsafe { libc::close(-1) }, -1);
        assert_eq!(number(), Some(libc::EBADF));
        let errno = SavedErrno::save();
        // SAFETY: the argument is a string that ends with a zero byte.
        assert_eq!(unsafe { libc::chdir(c"".as_ptr()) }, -1);
        assert_eq!(number(), Some(libc::ENOENT));
        drop(errno);
        assert_eq!(number(), Some(libc::EBADF));
    }
}
