//! Reads the arguments of a signal handler.

use std::ffi::c_void;

/// The registers at the interruption that a walk needs.
#[derive(Clone, Copy, Default)]
pub(super) struct InterruptedRegisters {
    pub(super) ip: usize,
    pub(super) stack_pointer: usize,
    pub(super) frame_pointer: usize,
    pub(super) link: Option<usize>,
}

/// The arguments that the kernel has passed to a signal handler that has not returned yet.
pub(super) struct Interruption<'a> {
    info: Option<&'a libc::siginfo_t>,
    context: Option<&'a KernelContext>,
}

impl<'a> Interruption<'a> {
    /// Wraps the arguments of a signal handler.
    ///
    /// # Safety
    ///
    /// The arguments must be the second and the third argument of a signal handler that was installed with `SA_SIGINFO`
    /// and does not return within `'a`.
    pub(super) unsafe fn new(info: *const libc::siginfo_t, context: *const c_void) -> Self {
        // SAFETY: by the `# Safety` section, each pointer is null or points to a structure that the kernel has written
        // for the handler. Nothing writes the structure before the handler returns, which is after `'a`. The kernel
        // lays out its context as `KernelContext` declares.
        unsafe {
            Self {
                info: info.as_ref(),
                context: context.cast::<KernelContext>().as_ref(),
            }
        }
    }

    /// Returns `true` if a thread of this process sent the signal to one of its threads, as a requester does.
    pub(super) fn is_own(&self) -> bool {
        let Some(info) = self.info else {
            return true;
        };
        // SAFETY: the first operand has checked that the code is `SI_TKILL`. The kernel fills in the sender's process
        // for signals with this code.
        info.si_code == libc::SI_TKILL
            && unsafe { info.si_pid() }.unsigned_abs() == std::process::id()
    }

    /// Returns the number of bytes that are left of the alternate stack. Returns 0 if the caller runs on another stack,
    /// whose size is unknown.
    pub(super) fn stack_left(&self) -> usize {
        let here = 0_u8;
        let here = std::hint::black_box(&raw const here).addr();
        let Some(context) = self.context else {
            return 0;
        };
        let stack = &context.alternate_stack;
        let left = here.wrapping_sub(stack.ss_sp.addr());
        match stack.ss_flags & libc::SS_DISABLE == 0 && left < stack.ss_size {
            true => left,
            false => 0,
        }
    }

    pub(super) fn registers(&self) -> Option<InterruptedRegisters> {
        self.context.map(KernelContext::registers)
    }
}

/// The beginning of the kernel's `ucontext`, which a signal handler receives. The kernel defines the layout, so it does
/// not depend on the C library.
#[cfg(target_arch = "x86_64")]
#[repr(C)]
struct KernelContext {
    _flags: u64,
    _link: usize,
    alternate_stack: libc::stack_t,
    /// r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip.
    registers: [u64; 17],
}

#[cfg(target_arch = "x86_64")]
impl KernelContext {
    fn registers(&self) -> InterruptedRegisters {
        let [.., rbp, _rbx, _rdx, _rax, _rcx, rsp, rip] = self.registers;
        InterruptedRegisters {
            ip: rip as usize,
            stack_pointer: rsp as usize,
            frame_pointer: rbp as usize,
            link: None,
        }
    }
}

/// The beginning of the kernel's `ucontext`, which a signal handler receives. The kernel defines the layout, so it does
/// not depend on the C library.
#[cfg(target_arch = "aarch64")]
#[repr(C)]
struct KernelContext {
    _flags: u64,
    _link: usize,
    alternate_stack: libc::stack_t,
    _mask: [u8; 128],
    machine: MachineContext,
}

#[cfg(target_arch = "aarch64")]
#[repr(C, align(16))]
struct MachineContext {
    _fault: u64,
    registers: [u64; 31],
    stack_pointer: u64,
    ip: u64,
}

#[cfg(target_arch = "aarch64")]
impl KernelContext {
    fn registers(&self) -> InterruptedRegisters {
        let [.., frame_pointer, link] = self.machine.registers;
        InterruptedRegisters {
            ip: self.machine.ip as usize,
            stack_pointer: self.machine.stack_pointer as usize,
            frame_pointer: frame_pointer as usize,
            link: Some(link as usize),
        }
    }
}
