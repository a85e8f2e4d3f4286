//! Makes the system calls of Windows that suspend a thread, and read its registers and its stack.

use std::ffi::c_void;
use std::mem::MaybeUninit;

use crate::os::opened_thread::{Handle, OpenedThread};

#[link(name = "kernel32")]
unsafe extern "system" {
    fn SuspendThread(thread: Handle) -> u32;
    fn ResumeThread(thread: Handle) -> u32;
    fn GetThreadContext(thread: Handle, context: *mut Registers) -> i32;
    fn GetCurrentProcess() -> Handle;
    fn VirtualQuery(address: *const c_void, into: *mut MemoryRegion, length: usize) -> usize;
    fn ReadProcessMemory(
        process: Handle,
        address: *const c_void,
        into: *mut c_void,
        length: usize,
        read: *mut usize,
    ) -> i32;
}

pub(super) const IS_ON_BY_DEFAULT: bool = true;

/// The rights to suspend a thread and to read its registers.
const RIGHTS: u32 = 0x2 | 0x8;

/// The result of `SuspendThread` for an error.
const FAILED: u32 = u32::MAX;

/// The registers of a thread: the system's `CONTEXT`.
#[repr(C, align(16))]
pub(super) struct Registers {
    _homes: [u64; 6],
    /// The parts that are read or written.
    parts: u32,
    _status: [u32; 5],
    _debug: [u64; 6],
    /// The general registers, in the order of their numbers.
    general: [usize; 16],
    ip: usize,
    _vectors: [u64; 122],
}

const _: () = assert!(size_of::<Registers>() == 1232);

/// The parts of [`Registers`] with the instruction pointer and the general registers, on x86_64.
const PARTS: u32 = 0x10_0001 | 0x10_0002;

impl Default for Registers {
    fn default() -> Self {
        Self {
            _homes: [0; 6],
            parts: PARTS,
            _status: [0; 5],
            _debug: [0; 6],
            general: [0; 16],
            ip: 0,
            _vectors: [0; 122],
        }
    }
}

impl Registers {
    pub(super) fn ip(&self) -> usize {
        self.ip
    }

    pub(super) fn general(&self) -> &[usize] {
        &self.general
    }

    /// Returns 0: the unwind tables say which register a function uses as its frame pointer.
    pub(super) fn frame_pointer(&self) -> usize {
        0
    }

    /// Returns `None`, because calls push the return address.
    pub(super) fn link(&self) -> Option<usize> {
        None
    }

    pub(super) fn stack_pointer(&self) -> usize {
        let [_, _, _, _, rsp, ..] = self.general;
        rsp
    }
}

/// The system's `MEMORY_BASIC_INFORMATION`.
#[repr(C)]
struct MemoryRegion {
    start: usize,
    _allocation: usize,
    _allocation_protection: u32,
    _partition: u16,
    size: usize,
    _state: u32,
    protection: u32,
    _kind: u32,
}

/// The bit of the protection of a guard page. The first access to such a page clears the bit, and fails.
const GUARD: u32 = 0x100;

/// A thread of this process.
pub(super) struct PolledThread(OpenedThread);

/// A thread that is suspended until this is dropped.
pub(super) struct Suspension<'a>(&'a PolledThread);

impl PolledThread {
    /// Opens the thread with this number. Returns `None` if this process has no such thread.
    pub(super) fn open(id: u64) -> Option<Self> {
        OpenedThread::open(id, RIGHTS).map(Self)
    }

    /// Suspends the thread, which must not be the calling thread. Returns `None` if the thread has ended.
    pub(super) fn suspend(&self) -> Option<Suspension<'_>> {
        // SAFETY: the handle is open, and has the right to suspend the thread.
        let count = unsafe { SuspendThread(self.0.handle()) };
        (count != FAILED).then_some(Suspension(self))
    }
}

impl Suspension<'_> {
    /// Returns the registers. Returns `None` if the system refuses.
    ///
    /// The thread may run until this function has returned: `SuspendThread` only requests the suspension, and the
    /// system reads the registers when the thread has stopped.
    pub(super) fn registers(&self) -> Option<Registers> {
        let mut registers = Registers::default();
        // SAFETY: the handle is open, and has the right to read the registers. The system writes them to a variable of
        // the layout and the alignment of a `CONTEXT`.
        let read = unsafe { GetThreadContext(self.0.0.handle(), &raw mut registers) };
        (read != 0).then_some(registers)
    }
}

impl Drop for Suspension<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and has the right to resume the thread. `suspend` has suspended the thread once
        // for this value.
        unsafe { ResumeThread(self.0.0.handle()) };
    }
}

/// Copies up to `length` bytes of the stack of a suspended thread, from the address `start` on. Stops at the first page
/// with another protection than that of the page at `start`. Returns the number of copied bytes.
///
/// Reads no guard page, because a guard page that was read no longer guards the stack. The stack pointer may be in a
/// guard page, if the thread has not accessed its newest frame yet. Then nothing is copied.
pub(super) fn copy_stack(start: usize, length: usize, to: &mut [u8]) -> usize {
    let address = std::ptr::without_provenance::<c_void>(start);
    let mut region = MaybeUninit::<MemoryRegion>::uninit();
    // SAFETY: the system writes at most `size_of::<MemoryRegion>()` bytes to `region`, which has as many.
    let written = unsafe { VirtualQuery(address, region.as_mut_ptr(), size_of::<MemoryRegion>()) };
    if written < size_of::<MemoryRegion>() {
        return 0;
    }
    // SAFETY: the system has written as many bytes as `region` has, and `region` consists of integers.
    let region = unsafe { region.assume_init() };
    if region.protection & GUARD != 0 {
        return 0;
    }
    let end = region.start.saturating_add(region.size);
    let length = length.min(end.saturating_sub(start)).min(to.len());
    let mut copied = 0;
    // SAFETY: the system writes at most `length` bytes to `to`, which has at least as many and is mutably borrowed. If
    // this process may not read the memory at `address`, the function fails.
    let read = unsafe {
        let to = to.as_mut_ptr().cast();
        ReadProcessMemory(GetCurrentProcess(), address, to, length, &raw mut copied)
    };
    match read {
        0 => 0,
        _ => copied,
    }
}
