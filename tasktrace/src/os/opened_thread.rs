//! Opens other threads of this process on Windows.

use std::ffi::c_void;
use std::time::Duration;

#[link(name = "kernel32")]
unsafe extern "system" {
    fn OpenThread(access: u32, inherit: i32, id: u32) -> Handle;
    fn GetProcessIdOfThread(thread: Handle) -> u32;
    fn CloseHandle(handle: Handle) -> i32;
    fn GetThreadTimes(
        thread: Handle,
        created: *mut u64,
        ended: *mut u64,
        kernel: *mut u64,
        user: *mut u64,
    ) -> i32;
}

pub(crate) type Handle = *mut c_void;

/// The right to ask for the process and the times of a thread.
const QUERY: u32 = 0x800;

/// A thread of this process.
pub(crate) struct OpenedThread(Handle);

impl OpenedThread {
    /// Opens the thread with this number, with these rights and the right to query it. Returns `None` if this process
    /// has no such thread.
    pub(crate) fn open(id: u64, rights: u32) -> Option<Self> {
        let id = u32::try_from(id).ok()?;
        // SAFETY: the function takes any numbers, and returns null if there is no such thread.
        let handle = unsafe { OpenThread(rights | QUERY, 0, id) };
        let thread = (!handle.is_null()).then_some(Self(handle))?;
        // SAFETY: the handle is open, and has the right to ask for the process.
        let process = unsafe { GetProcessIdOfThread(thread.0) };
        (process == std::process::id()).then_some(thread)
    }

    /// Returns the handle, which is open until this is dropped.
    pub(crate) fn handle(&self) -> Handle {
        self.0
    }

    /// Returns the processor time of the thread, which the system counts in ticks of its clock: 15.6 ms on most
    /// machines. Returns `None` if the system refuses.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        // The system's `FILETIME`s are pairs of `u32`, in units of 100 ns, less significant first.
        let [mut created, mut ended, mut kernel, mut user] = [0_u64; 4];
        // SAFETY: the handle is open, and has the right to ask for the times. The system writes one `FILETIME` to each
        // of four variables, which have its size and at least its alignment.
        let told = unsafe {
            GetThreadTimes(
                self.0,
                &raw mut created,
                &raw mut ended,
                &raw mut kernel,
                &raw mut user,
            )
        };
        let ticks = kernel.checked_add(user)?;
        (told != 0).then(|| Duration::from_nanos(ticks.saturating_mul(100)))
    }
}

impl Drop for OpenedThread {
    fn drop(&mut self) {
        // SAFETY: `open` got the handle, and only this destructor closes it.
        unsafe { CloseHandle(self.0) };
    }
}
