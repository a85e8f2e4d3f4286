//! Registers handlers that run when the process forks.

/// The handlers that run when the process forks, on the thread that forks: one before the fork, one after it in the
/// parent, and one after it in the child.
#[derive(Clone, Copy)]
pub(crate) struct AtFork {
    pub(crate) before: extern "C" fn(),
    pub(crate) in_parent: extern "C" fn(),
    pub(crate) in_child: extern "C" fn(),
}

impl AtFork {
    /// Registers the handlers for `fork` of the C library. They do not run for system calls, nor for `vfork` and
    /// `posix_spawn`, whose children only become other programs. If there is no memory for the registration, it is
    /// ignored, because nothing can be done.
    #[cfg(unix)]
    pub(crate) fn install(self) {
        // SAFETY: `pthread_atfork` requires functions without arguments that stay callable. The fields have that type,
        // and the C library drops the handlers of a library that it unloads.
        let _ = unsafe {
            libc::pthread_atfork(Some(self.before), Some(self.in_parent), Some(self.in_child))
        };
    }

    /// Does nothing: this system has no forks.
    #[cfg(not(unix))]
    pub(crate) fn install(self) {
        let _ = (self.before, self.in_parent, self.in_child);
    }
}
