//! The arguments of a signal handler.

use std::ffi::c_void;

/// The registers at the interruption, as far as a walk needs them.
#[derive(Clone, Copy, Default)]
pub(super) struct Registers {
    pub(super) ip: usize,
    pub(super) stack_pointer: usize,
    pub(super) frame_pointer: usize,
    pub(super) link: Option<usize>,
}

/// The arguments that the kernel has passed to a signal handler, which has not returned yet.
pub(super) struct Interruption<'a> {
    info: Option<&'a libc::siginfo_t>,
    context: Option<&'a Context>,
}

impl<'a> Interruption<'a> {
    /// # Safety
    ///
    /// The arguments are the second and the third of a signal handler that does not return within `'a`.
    pub(super) unsafe fn new(info: *const libc::siginfo_t, context: *const c_void) -> Self {
        // SAFETY: by the `# Safety` section these are null, or point to what the kernel has written for the handler, and
        // nothing writes it before the handler returns. The kernel lays a context out as `Context` declares it.
        unsafe {
            Self {
                info: info.as_ref(),
                context: context.cast::<Context>().as_ref(),
            }
        }
    }

    /// Returns `true` if a thread of this process sent the signal to one of its threads, as an asker does.
    pub(super) fn is_own(&self) -> bool {
        let Some(info) = self.info else {
            return true;
        };
        // SAFETY: a signal with the code `SI_TKILL` was sent by a thread, so its information has a sender.
        info.si_code == libc::SI_TKILL
            && unsafe { info.si_pid() }.unsigned_abs() == std::process::id()
    }

    /// Returns how many bytes are left of the alternate stack, if the caller runs on it, and 0 if the caller runs on
    /// another stack, whose size is unknown.
    pub(super) fn room_left(&self) -> usize {
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

    pub(super) fn registers(&self) -> Option<Registers> {
        self.context.map(Context::registers)
    }
}

/// The beginning of the kernel's `ucontext`, which a signal handler gets. The kernel defines it, so it is the same with every C
/// library.
#[cfg(target_arch = "x86_64")]
#[repr(C)]
struct Context {
    _flags: u64,
    _link: usize,
    alternate_stack: libc::stack_t,
    /// r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip
    registers: [u64; 17],
}

#[cfg(target_arch = "x86_64")]
impl Context {
    fn registers(&self) -> Registers {
        let [.., rbp, _rbx, _rdx, _rax, _rcx, rsp, rip] = self.registers;
        Registers {
            ip: rip as usize,
            stack_pointer: rsp as usize,
            frame_pointer: rbp as usize,
            link: None,
        }
    }
}

/// The beginning of the kernel's `ucontext`, which a signal handler gets. The kernel defines it, so it is the same with every C
/// library.
#[cfg(target_arch = "aarch64")]
#[repr(C)]
struct Context {
    _flags: u64,
    _link: usize,
    alternate_stack: libc::stack_t,
    _mask: [u8; 128],
    machine: Machine,
}

#[cfg(target_arch = "aarch64")]
#[repr(C, align(16))]
struct Machine {
    _fault: u64,
    registers: [u64; 31],
    stack_pointer: u64,
    ip: u64,
}

#[cfg(target_arch = "aarch64")]
impl Context {
    fn registers(&self) -> Registers {
        let [.., frame_pointer, link] = self.machine.registers;
        Registers {
            ip: self.machine.ip as usize,
            stack_pointer: self.machine.stack_pointer as usize,
            frame_pointer: frame_pointer as usize,
            link: Some(link as usize),
        }
    }
}
