//! Asks the system for huge pages.

/// Asks the system to back this memory with huge pages. Nothing happens on systems without them.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables))]
pub(crate) fn prefer(memory: *mut u8, size: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: this advice changes neither the contents of memory nor what may be done with it. If the system cannot
    // follow it, or does not know this memory, it returns an error, which does not matter.
    unsafe {
        libc::madvise(memory.cast(), size, libc::MADV_HUGEPAGE);
    }
}
