//! Memory that the process holds, and need not.

/// More than this is worth giving back.
const MUCH: usize = 16 << 20;

/// Something that may need much memory for a while.
pub(crate) struct Use {
    /// How many bytes were there before. `None` if that is not known.
    before: Option<usize>,
}

impl Use {
    pub(crate) fn start() -> Self {
        Self { before: resident() }
    }

    /// Returns `true` if the process has much more memory than before.
    pub(crate) fn is_much_left(&self) -> bool {
        let grown = |before| Some(resident()?.saturating_sub(before) > MUCH);
        self.before.and_then(grown).unwrap_or(false)
    }
}

/// Returns how many bytes of the resident memory are not backed by a file.
#[cfg(target_os = "linux")]
fn resident() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = text.split_whitespace().skip(1);
    let mut next = || pages.next()?.parse::<usize>().ok();
    let (all, of_files) = (next()?, next()?);
    // SAFETY: `sysconf` takes any number, and returns -1 for one that it does not know.
    let length = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(all.saturating_sub(of_files) * usize::try_from(length).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn resident() -> Option<usize> {
    None
}

/// Makes the allocator return free memory to the system. Allocations of other threads wait meanwhile, so this
/// is called only after work that has needed [much memory](Use::is_much_left).
///
/// glibc keeps what is freed below anything that is still in use, in an arena for every few threads.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes the locks of the allocator itself, so any thread may call it at any time, and it only
    // releases memory that is not allocated.
    unsafe {
        libc::malloc_trim(0);
    }
}
