//! The number of the last error, which a signal handler must leave as it was.

use std::ffi::c_int;

/// Sets it back when it is dropped. It may be used in a signal handler.
#[must_use = "it is set back when this is dropped"]
pub(crate) struct Errno(c_int);

impl Errno {
    pub(crate) fn save() -> Self {
        // SAFETY: it is null, or the thread's own number.
        Self(unsafe { location().as_ref() }.copied().unwrap_or(0))
    }
}

impl Drop for Errno {
    fn drop(&mut self) {
        // SAFETY: it is null, or the thread's own number, of which nobody keeps a reference.
        if let Some(errno) = unsafe { location().as_mut() } {
            *errno = self.0;
        }
    }
}

/// Where the number of this thread is, or null where we do not know.
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

    // SAFETY: it takes nothing, and may be called anywhere.
    unsafe { location() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn it_is_set_back() {
        let number = || std::io::Error::last_os_error().raw_os_error();
        // SAFETY: there is no such descriptor to be closed.
        assert_eq!(unsafe { libc::close(-1) }, -1);
        assert_eq!(number(), Some(libc::EBADF));
        let errno = Errno::save();
        // SAFETY: it takes no pointer that it could follow.
        assert_eq!(unsafe { libc::chdir(c"".as_ptr()) }, -1);
        assert_eq!(number(), Some(libc::ENOENT));
        drop(errno);
        assert_eq!(number(), Some(libc::EBADF));
    }
}
