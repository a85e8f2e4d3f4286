//! Forks of this process.

/// The handlers that run when the process forks, on the thread that forks: one before the fork, one after it in the
/// parent, and one after it in the child.
#[derive(Clone, Copy)]
pub(crate) struct AtFork {
    pub(crate) before: extern "C" fn(),
    pub(crate) in_parent: extern "C" fn(),
    pub(crate) in_child: extern "C" fn(),
}

impl AtFork {
    /// Registers these handlers for forks by `fork` of the C library: not for those by system calls, nor for
    /// `vfork` and `posix_spawn`, whose children do nothing but become other programs. Without memory for it there
    /// is nothing to be done.
    #[cfg(unix)]
    pub(crate) fn install(self) {
        // SAFETY: `pthread_atfork` requires functions without arguments that stay callable. The fields have that type,
        // and the C library drops the handlers of a library that it unloads.
        let _ = unsafe {
            libc::pthread_atfork(Some(self.before), Some(self.in_parent), Some(self.in_child))
        };
    }

    /// There are no forks.
    #[cfg(not(unix))]
    pub(crate) fn install(self) {
        let _ = (self.before, self.in_parent, self.in_child);
    }
}
