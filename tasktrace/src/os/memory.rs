//! Measures the memory of the process, and returns free memory to the system.

/// The growth in bytes above which it is worth returning memory to the system.
const THRESHOLD: usize = 16 << 20;

/// The memory of the process before some work that may need much memory.
pub(crate) struct MemoryUse {
    /// The number of bytes before the work. `None` if it is unknown.
    before: Option<usize>,
}

impl MemoryUse {
    pub(crate) fn start() -> Self {
        Self { before: resident() }
    }

    /// Returns `true` if the memory of the process has grown by more than [`THRESHOLD`].
    pub(crate) fn has_grown_much(&self) -> bool {
        let grown = |before| Some(resident()?.saturating_sub(before) > THRESHOLD);
        self.before.and_then(grown).unwrap_or(false)
    }
}

/// Returns the number of bytes of resident memory that no file backs.
#[cfg(target_os = "linux")]
fn resident() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = text.split_whitespace().skip(1);
    let mut next = || pages.next()?.parse::<usize>().ok();
    let (all, of_files) = (next()?, next()?);
    // SAFETY: `sysconf` takes any number, and returns -1 for a number that it does not know. It accesses no memory of
    // the program.
    let length = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(all.saturating_sub(of_files) * usize::try_from(length).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn resident() -> Option<usize> {
    None
}

/// Makes the allocator return free memory to the system. Meanwhile allocations of other threads wait, so this is called
/// only after work that has [needed much memory](MemoryUse::has_grown_much).
///
/// glibc has an arena for every few threads. It keeps freed memory in an arena below memory that is still in use.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes the locks of the allocator itself, so any thread may call it at any time, and it only
    // releases memory that is not allocated.
    unsafe {
        libc::malloc_trim(0);
    }
}
