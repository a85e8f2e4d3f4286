//! Threads, as the operating system knows them.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};

use super::{env, signal};

/// The bytes that the stack of a thread of ours has at least, as threads have by default.
const LEAST_STACK: usize = 2 << 20;

/// Returns the size of the stack of a thread of ours. The program may be run with another default, and needs as much
/// where we call it.
fn stack_size() -> usize {
    static SIZE: AtomicUsize = AtomicUsize::new(0);

    let known = SIZE.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    let default = env::text("RUST_MIN_STACK").and_then(|size| size.parse().ok());
    let size = LEAST_STACK.max(default.unwrap_or(0));
    SIZE.store(size, Ordering::Relaxed);
    size
}

/// Spawns a thread of ours. The program's signals are left to its own threads, but for code of the program that runs
/// in [`signal::as_the_program`].
///
/// # Errors
///
/// If the system has no room for another thread.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let builder = Builder::new().name(name.to_owned());
    let builder = builder.stack_size(stack_size());
    let left = signal::Left::by_the_program();
    let run = move || {
        signal::Left::remember(left);
        run()
    };
    signal::left_to_others(|| builder.spawn(run))
}

/// The number of the calling thread. `None` where it cannot be asked for.
#[cfg(target_os = "linux")]
pub(crate) fn id() -> Option<u64> {
    // SAFETY: it takes nothing and always succeeds.
    u64::try_from(unsafe { libc::gettid() }).ok()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn id() -> Option<u64> {
    None
}

/// The time that the processor has spent on the calling thread. `None` where the system does not tell.
#[cfg(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
))]
pub(crate) fn cpu_time() -> Option<std::time::Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it writes to the place that it is given, and to nothing else.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    let secs = u64::try_from(time.tv_sec).ok()?;
    let nanos = u32::try_from(time.tv_nsec).ok()?;
    (result == 0).then(|| std::time::Duration::new(secs, nanos))
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
)))]
pub(crate) fn cpu_time() -> Option<std::time::Duration> {
    None
}

/// Sends a signal to a thread of this process.
///
/// # Errors
///
/// If there is no such thread (any more), or no such signal.
#[cfg(target_os = "linux")]
pub(crate) fn send(thread: u64, signal: std::ffi::c_int) -> io::Result<()> {
    let thread = libc::pid_t::try_from(thread).map_err(io::Error::other)?;
    // SAFETY: it takes three numbers.
    match unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
