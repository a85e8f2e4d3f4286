//! Gives each thread that polls a task an alternate stack for signal handlers.
//!
//! A handler runs on the current stack of its thread, or with `SA_ONSTACK` on the alternate stack of the thread. Either
//! may be too small. Before the handler runs, the system writes the registers there, about three KiB with AVX-512. If
//! they do not fit, it ends the process. Other threads cannot tell how much room a running thread has left on its
//! stack.
//!
//! So each thread that polls gets an alternate stack. Its size is the sum of the previous alternate stack (8 KiB from
//! the standard library, or none on other threads) and the size that tasktrace needs. So even a handler of the program
//! that runs on it can be interrupted.
//!
//! The stack costs address space. It costs memory only after a handler has run on it.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;

/// The key of the entry of the auxiliary vector with the number of bytes that the system writes before a handler runs.
const AT_MINSIGSTKSZ: libc::c_ulong = 51;

/// The number of bytes for a handler of tasktrace, many times what it needs. It was *measured* to need less than 1 KiB
/// in a release build, and 1.6 KiB in a debug build.
const ROOM: usize = 48 << 10;

/// The alternate stack of a thread, which owns this value.
#[derive(Debug)]
pub(crate) struct SignalStack {
    /// The whole mapping. Its first page is not accessible.
    start: *mut c_void,
    length: usize,
    ours: *mut c_void,
    /// The previous alternate stack.
    before: libc::stack_t,
}

impl SignalStack {
    /// Installs an alternate stack for the calling thread. Returns `None` if there is no memory, if the thread
    /// runs on its alternate stack now, or if that stack has flags that are unknown here.
    pub(crate) fn install() -> Option<Self> {
        let before = current()?;
        let theirs = match before.ss_flags {
            0 => before.ss_size,
            libc::SS_DISABLE => 0,
            _ => return None,
        };
        // SAFETY: both functions take any number, and only read constants of the process. They return -1 or 0 for a
        // number that they do not know.
        let (page, written) = unsafe {
            (
                libc::sysconf(libc::_SC_PAGESIZE),
                libc::getauxval(AT_MINSIGSTKSZ),
            )
        };
        let page = usize::try_from(page).ok()?;
        let written = usize::try_from(written).ok()?.max(libc::MINSIGSTKSZ);
        // The registers are written twice: once for a handler of the program, and once for a handler of tasktrace that
        // interrupts it.
        let usable = ROOM.checked_add(written.checked_mul(2)?)?;
        let usable = usable.checked_add(theirs)?.checked_next_multiple_of(page)?;
        let length = usable.checked_add(page)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: without an address and `MAP_FIXED`, `mmap` maps memory that nothing else uses, or fails.
        let start = unsafe { libc::mmap(ptr::null_mut(), length, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return None;
        }
        let stack = Self {
            start,
            length,
            ours: start.wrapping_byte_add(page),
            before,
        };
        let new = libc::stack_t {
            ss_sp: stack.ours,
            ss_flags: 0,
            ss_size: usable,
        };
        // SAFETY: `start` is the first page of the mapping above, which is longer than a page. No reference to it
        // exists, and the alternate stack begins after it.
        let is_guarded = unsafe { libc::mprotect(start, page, libc::PROT_NONE) } == 0;
        // If either fails, the former stack is still installed, and `stack` is dropped, which unmaps the memory.
        (is_guarded && set(&new)).then_some(stack)
    }
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        // An alternate stack that was installed after ours is kept. The standard library disables any stack when its
        // thread ends.
        if let Some(current) = current() {
            let is_ours = current.ss_sp == self.ours && current.ss_flags & libc::SS_DISABLE == 0;
            // A thread may end in a signal handler: then this is the stack that it is on.
            if is_ours && (current.ss_flags & libc::SS_ONSTACK != 0 || !set(&self.before)) {
                return;
            }
        }
        // SAFETY: `start` and `length` are the mapping that `install` made, and only this value owns it. No handler
        // runs on it or will: the code above returned unless the alternate stack of this thread is another one by now,
        // and `SignalStack` is neither `Send` nor `Sync`, so it never was the stack of another thread.
        unsafe { libc::munmap(self.start, self.length) };
    }
}

fn current() -> Option<libc::stack_t> {
    let mut stack = MaybeUninit::uninit();
    // SAFETY: without a new stack, `sigaltstack` only writes the current one to `stack`, which is valid for writes.
    match unsafe { libc::sigaltstack(ptr::null(), stack.as_mut_ptr()) } {
        // SAFETY: `sigaltstack` returned 0, so it has written the whole value.
        0 => Some(unsafe { stack.assume_init() }),
        _ => None,
    }
}

fn set(stack: &libc::stack_t) -> bool {
    // SAFETY: the callers pass either the mapping of `install`, in which only handlers write, or the stack that
    // `current` returned for this thread, which was reserved for handlers already. `sigaltstack` reads `stack` only.
    unsafe { libc::sigaltstack(stack, ptr::null_mut()) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> (usize, usize, i32) {
        let stack = current().expect("the system tells");
        (stack.ss_sp.addr(), stack.ss_size, stack.ss_flags)
    }

    #[test]
    fn an_installed_stack_is_larger_than_the_former_one_and_drop_restores_that() {
        let look = || {
            let before = parts();
            let stack = SignalStack::install().expect("there is memory");
            let during = parts();
            assert_eq!(during.2, 0);
            assert_ne!(during.0, before.0);
            assert!(during.1 >= before.1 + ROOM);
            drop(stack);
            assert_eq!(parts(), before);
        };
        std::thread::spawn(look)
            .join()
            .expect("it is as it should be");
    }

    #[test]
    fn drop_keeps_a_stack_that_was_set_after_ours() {
        let look = || {
            let before = current().expect("the system tells");
            let stack = SignalStack::install().expect("there is memory");
            assert!(set(&before));
            let theirs = parts();
            drop(stack);
            assert_eq!(parts(), theirs);
        };
        std::thread::spawn(look)
            .join()
            .expect("it is as it should be");
    }
}
