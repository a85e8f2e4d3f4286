//! Spawns threads, sends signals to threads, and returns their ids and times.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};

use super::{env, signal};

/// The smallest size of the stack of a thread of tasktrace in bytes, which is the default of the standard library.
const LEAST_STACK: usize = 2 << 20;

/// `true` if the system has threads. Without threads, nothing can be waited for: no other code runs meanwhile.
pub(crate) const HAS_THREADS: bool =
    cfg!(any(not(target_family = "wasm"), target_feature = "atomics"));

/// Returns the size of the stack of a thread of tasktrace. The variable can increase it, because such a thread may call
/// code of the program, which may need that much.
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

/// Spawns a thread of tasktrace. It blocks the signals that the program may handle, except while code of the program
/// runs in [`signal::with_program_mask`].
///
/// # Errors
///
/// Returns an error if the system refuses another thread.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    spawn_with_stack(name, stack_size(), run)
}

/// Spawns a thread like [`spawn`], with a stack of this size in bytes.
///
/// # Errors
///
/// Returns an error if the system refuses another thread.
pub(crate) fn spawn_with_stack<T: Send + 'static>(
    name: &str,
    stack_size: usize,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let builder = Builder::new().name(name.to_owned());
    let builder = builder.stack_size(stack_size);
    let mask = signal::ProgramMask::current();
    let run = move || {
        signal::ProgramMask::set(mask);
        run()
    };
    signal::with_signals_blocked(|| builder.spawn(run))
}

/// Returns the system's id of the calling thread, or `None` if the system has none.
#[cfg(target_os = "linux")]
pub(crate) fn id() -> Option<u64> {
    // SAFETY: `gettid` has no arguments and no preconditions, and always succeeds.
    u64::try_from(unsafe { libc::gettid() }).ok()
}

#[cfg(windows)]
pub(crate) fn id() -> Option<u64> {
    #[link(name = "kernel32")]
    unsafe extern "system" {
        safe fn GetCurrentThreadId() -> u32;
    }

    Some(GetCurrentThreadId().into())
}

#[cfg(target_os = "macos")]
pub(crate) fn id() -> Option<u64> {
    let mut id = 0;
    // SAFETY: for the thread 0, which is the calling thread, the function only writes a `u64` to `id`.
    let result = unsafe { libc::pthread_threadid_np(0, &raw mut id) };
    (result == 0).then_some(id)
}

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
pub(crate) fn id() -> Option<u64> {
    None
}

/// Returns the name of the calling thread.
///
/// [`std::thread::current`] panics when the thread ends and its data was destroyed, as in the destructors of the C
/// library's thread-specific values. So the name comes from the system, unless that may have cut it, or has the name of
/// the program instead, as for threads without a name.
pub(crate) fn name() -> Option<String> {
    let known = system_name();
    match known {
        Some(name) if name.len() < SYSTEM_NAME && !is_of_program(&name) => Some(name),
        other => {
            let own = || std::thread::current().name().map(str::to_owned);
            std::panic::catch_unwind(own).unwrap_or(other)
        }
    }
}

/// Returns `true` if the system has this name for the main thread too, or does not tell. A thread without a name
/// inherits the name of the thread that started it.
fn is_of_program(name: &str) -> bool {
    let program = std::fs::read_to_string("/proc/self/comm");
    program.map_or(true, |program| program.trim_end_matches('\n') == name)
}

/// The length in bytes to which Linux cuts the names of threads.
const SYSTEM_NAME: usize = 15;

/// Returns the name that the system has for the calling thread, cut to [`SYSTEM_NAME`] bytes.
#[cfg(target_os = "linux")]
fn system_name() -> Option<String> {
    // For the system, the main thread has the name of the program.
    if id() == Some(u64::from(std::process::id())) {
        return Some("main".to_owned());
    }
    let mut name = [0_u8; SYSTEM_NAME + 1];
    // SAFETY: `PR_GET_NAME` writes at most 16 bytes to the address, with the null byte at the end, and `name` is valid
    // for that many.
    let result = unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    let name = std::ffi::CStr::from_bytes_until_nul(&name).ok()?;
    let name = name.to_str().ok().filter(|name| !name.is_empty())?;
    (result == 0).then(|| name.to_owned())
}

#[cfg(not(target_os = "linux"))]
fn system_name() -> Option<String> {
    None
}

/// Returns the processor time of the calling thread, or `None` if the system does not report it.
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
    // SAFETY: `clock_gettime` only writes one `timespec` to `time`, which is valid for writes.
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
/// Returns an error if there is no such thread or no such signal.
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub(crate) fn send(thread: u64, signal: std::ffi::c_int) -> io::Result<()> {
    let thread = libc::pid_t::try_from(thread).map_err(io::Error::other)?;
    // SAFETY: `tgkill` takes three numbers, and fails if the thread does not belong to this process.
    match unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Such a thread inherits the name that the system has for the thread that started it.
    #[test]
    fn a_thread_without_a_name_has_not_the_name_of_the_program() {
        std::fs::write("/proc/self/comm", "short").expect("the main thread can be renamed");
        // SAFETY: `PR_SET_NAME` reads at most 16 bytes up to the null byte at the end of the text.
        let renamed = unsafe { libc::prctl(libc::PR_SET_NAME, c"short".as_ptr()) };
        assert_eq!(renamed, 0);
        assert_eq!(system_name().as_deref(), Some("short"));
        assert_eq!(std::thread::spawn(name).join().unwrap(), None);
        let named = std::thread::Builder::new().name("poller".to_owned());
        let named = named.spawn(name).unwrap().join().unwrap();
        assert_eq!(named.as_deref(), Some("poller"));
    }
}
