//! Makes the system calls of macOS that suspend a thread, and read its registers and its stack.
//!
//! This code compiles for `aarch64-apple-darwin`, and was never run. So samples are off on macOS until the program
//! turns them on.
//!
//! The functions of Mach are traps or messages to the kernel. They take no lock of the C library, so a suspended thread
//! that holds one does not block them.

use std::ffi::{c_int, c_void};
use std::ptr;

use libc::{kern_return_t, mach_msg_type_number_t, mach_port_t};

use crate::unwind::has_set_frame_pointer;

/// `false`, because this code was never run.
pub(super) const IS_ON_BY_DEFAULT: bool = false;

unsafe extern "C" {
    static mach_task_self_: mach_port_t;
    fn thread_suspend(thread: mach_port_t) -> kern_return_t;
    fn thread_resume(thread: mach_port_t) -> kern_return_t;
    fn thread_get_state(
        thread: mach_port_t,
        flavor: c_int,
        state: *mut u32,
        count: *mut mach_msg_type_number_t,
    ) -> kern_return_t;
    fn mach_port_deallocate(task: mach_port_t, name: mach_port_t) -> kern_return_t;
    fn mach_vm_read_overwrite(
        task: mach_port_t,
        address: u64,
        size: u64,
        into: u64,
        read: *mut u64,
    ) -> kern_return_t;
}

/// Returns the port of this process.
fn this_process() -> mach_port_t {
    // SAFETY: the C library sets the variable before the program starts, and nothing changes it afterwards.
    unsafe { mach_task_self_ }
}

/// The general registers, the system's `arm_thread_state64_t`.
#[repr(C)]
#[derive(Default)]
pub(super) struct Registers {
    general: [usize; 29],
    frame_pointer: usize,
    link: usize,
    stack_pointer: usize,
    ip: usize,
    _flags: [u32; 2],
}

/// The number that selects [`Registers`]: the system's `ARM_THREAD_STATE64`.
const FLAVOR: c_int = 6;

/// The size of [`Registers`] in the unit of the system.
const COUNT: mach_msg_type_number_t = (size_of::<Registers>() / size_of::<u32>()) as u32;

const _: () = assert!(COUNT == 68);

impl Registers {
    pub(super) fn ip(&self) -> usize {
        self.ip
    }

    pub(super) fn stack_pointer(&self) -> usize {
        self.stack_pointer
    }

    pub(super) fn frame_pointer(&self) -> usize {
        self.frame_pointer
    }

    /// Returns the return address of the innermost function if it is only in the link register.
    ///
    /// Returns `None` if the code of the function is not known. Its caller may then be missing in the sample. The link
    /// register might have the address behind its last call instead, and the sample would show a false caller.
    ///
    /// This takes the lock of the loader, which the thread may hold, so the thread must have been resumed before.
    pub(super) fn link(&self) -> Option<usize> {
        let code = code_before(self.ip)?;
        (!has_set_frame_pointer(&code)).then_some(self.link)
    }

    pub(super) fn general(&self) -> &[usize] {
        &self.general
    }
}

/// The largest part of a function that is read, in bytes.
const MAX_CODE: usize = 16 << 10;

/// Returns the instructions from the start of the function at `ip` up to `ip`. Returns `None` if the function is not
/// known or is very large.
fn code_before(ip: usize) -> Option<Vec<u32>> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    let address = ptr::without_provenance::<c_void>(ip);
    // SAFETY: `dladdr` takes any address, and writes at most one `Dl_info` to `info`. An `info` of zeros is valid too:
    // it consists of pointers.
    let start = unsafe {
        libc::dladdr(address, info.as_mut_ptr());
        info.assume_init().dli_saddr.addr()
    };
    let length = ip.saturating_sub(start);
    if start == 0 || length > MAX_CODE {
        return None;
    }
    let mut code = vec![0; length];
    if !read(start, &mut code) {
        return None;
    }
    let instructions = code.as_chunks().0.iter();
    Some(
        instructions
            .map(|bytes| u32::from_le_bytes(*bytes))
            .collect(),
    )
}

/// A thread of this process: a reference to its port.
pub(super) struct PolledThread(mach_port_t);

/// A thread that is suspended until this is dropped.
pub(super) struct Suspension<'a>(&'a PolledThread);

impl PolledThread {
    /// Finds the thread with this number, which no other thread ever has. Returns `None` if there is no such thread.
    pub(super) fn open(id: u64) -> Option<Self> {
        let (mut ports, mut count) = (ptr::null_mut(), 0);
        // SAFETY: the system writes to the two variables the address and the length of an array that it allocates.
        let listed = unsafe { libc::task_threads(this_process(), &raw mut ports, &raw mut count) };
        if listed != libc::KERN_SUCCESS {
            return None;
        }
        let length = count as usize;
        // SAFETY: the system has allocated the array for this call, with `count` ports.
        let threads = unsafe { std::slice::from_raw_parts(ports, length) };
        // Each port in the array is a reference, which the destructor of its `PolledThread` releases. So each port gets
        // a `PolledThread`, although only one is returned.
        let threads = threads.iter().map(|port| Self(*port));
        let found = threads.fold(None, |found, thread| match thread.id() == Some(id) {
            true => Some(thread),
            false => found,
        });
        let size = length * size_of::<mach_port_t>();
        // SAFETY: the array belongs to this function, which does not use it any more.
        unsafe { libc::vm_deallocate(this_process(), ports.addr(), size) };
        found
    }

    /// Returns the number of the thread.
    fn id(&self) -> Option<u64> {
        let mut info = std::mem::MaybeUninit::<libc::thread_identifier_info>::zeroed();
        let mut count = libc::THREAD_IDENTIFIER_INFO_COUNT;
        // SAFETY: the system writes at most `count` words to `info`, which has as many.
        let known = unsafe {
            libc::thread_info(
                self.0,
                libc::THREAD_IDENTIFIER_INFO as libc::thread_flavor_t,
                info.as_mut_ptr().cast(),
                &raw mut count,
            )
        };
        // SAFETY: `info` consists of integers, which are zero if the system has not written them.
        let info = unsafe { info.assume_init() };
        (known == libc::KERN_SUCCESS).then_some(info.thread_id)
    }

    /// Suspends the thread, which must not be the calling thread. Returns `None` if the thread has ended.
    pub(super) fn suspend(&self) -> Option<Suspension<'_>> {
        // SAFETY: the function takes any port, and fails if it is not that of a thread.
        let result = unsafe { thread_suspend(self.0) };
        (result == libc::KERN_SUCCESS).then_some(Suspension(self))
    }
}

impl Drop for PolledThread {
    fn drop(&mut self) {
        // SAFETY: `open` got this reference from the system, and only this destructor releases it.
        unsafe { mach_port_deallocate(this_process(), self.0) };
    }
}

impl Suspension<'_> {
    /// Returns the registers. Returns `None` if the system refuses.
    pub(super) fn registers(&self) -> Option<Registers> {
        let mut registers = Registers::default();
        let mut count = COUNT;
        // SAFETY: the system writes at most `count` words to `registers`, which has as many and consists of integers.
        let result = unsafe {
            let into = (&raw mut registers).cast();
            thread_get_state(self.0.0, FLAVOR, into, &raw mut count)
        };
        (result == libc::KERN_SUCCESS && count == COUNT).then_some(registers)
    }
}

impl Drop for Suspension<'_> {
    fn drop(&mut self) {
        // SAFETY: the function takes any port. `suspend` has suspended the thread once for this value.
        unsafe { thread_resume(self.0.0) };
    }
}

/// The size of a page on this processor.
const PAGE: usize = 16 << 10;

/// Copies up to `length` bytes of the stack of a suspended thread, from the address `start` on. Stops at the first page
/// that cannot be read. Returns the number of copied bytes.
pub(super) fn copy_stack(start: usize, length: usize, to: &mut [u8]) -> usize {
    let length = length.min(to.len());
    let mut copied = 0;
    while copied < length {
        let from = start.saturating_add(copied);
        let end = length.min(copied + PAGE - from % PAGE);
        if !read(from, &mut to[copied..end]) {
            break;
        }
        copied = end;
    }
    copied
}

/// Copies memory. Returns `false` if a part of it cannot be read.
fn read(from: usize, to: &mut [u8]) -> bool {
    let size = to.len() as u64;
    let mut copied = 0;
    // SAFETY: the system writes at most `size` bytes to `to`, which has as many and is mutably borrowed. If the memory
    // at `from` cannot be read, the function fails.
    let result = unsafe {
        let into = to.as_mut_ptr().expose_provenance() as u64;
        mach_vm_read_overwrite(this_process(), from as u64, size, into, &raw mut copied)
    };
    result == libc::KERN_SUCCESS && copied == size
}
