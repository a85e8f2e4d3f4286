//! Walking with `framehop` over the unwind tables that are mapped into this process.
//!
//! While it walks it allocates nothing and takes no lock.

mod modules;

use std::arch::asm;
use std::cell::Cell;

use framehop::{FrameAddress, MustNotAllocateDuringUnwind, Unwinder as _};

use self::modules::{Generation, Modules};
use super::{LARGEST_MARKED_FRAME, Mark, PhysicalFrame, Reach, ReturnAddress, StackPointer};

#[cfg(target_arch = "aarch64")]
use framehop::aarch64::{CacheAarch64 as Cache, UnwindRegsAarch64 as Registers};
#[cfg(target_arch = "x86_64")]
use framehop::x86_64::{CacheX86_64 as Cache, UnwindRegsX86_64 as Registers};

pub(crate) struct FastWalker {
    modules: Option<(Generation, Modules)>,
    cache: Cache<MustNotAllocateDuringUnwind>,
}

impl Default for FastWalker {
    fn default() -> Self {
        Self {
            modules: None,
            cache: Cache::new_in(),
        }
    }
}

impl FastWalker {
    /// Takes note of libraries that came or went since the last walk.
    pub(crate) fn refresh(&mut self) {
        let generation = Generation::now();
        if self
            .modules
            .as_ref()
            .is_none_or(|(of, _)| *of != generation)
        {
            self.modules = Some((generation, modules::loaded(generation)));
        }
    }

    /// Appends the frames from the caller up to `mark`, leaf first.
    #[inline(never)]
    pub(crate) fn walk(
        &mut self,
        mark: Mark,
        limit: usize,
        frames: &mut Vec<PhysicalFrame>,
    ) -> Reach {
        let Some((_, modules)) = &self.modules else {
            return Reach::Lost;
        };
        let (ip, mut registers) = here();
        let lowest = registers.sp();
        let end = mark.0 as u64;
        let past_the_mark = Cell::new(false);
        let mut read = |address: u64| {
            if address.checked_add(8).is_none_or(|after| after > end) {
                past_the_mark.set(true);
                return Err(());
            }
            if address < lowest || address % 8 != 0 {
                return Err(());
            }
            // SAFETY: the address is aligned and lies between the stack pointer of this function
            // and that of one of its callers (`Mark`), so it is mapped stack of this thread. It is read as a plain integer, volatile, because it belongs to no
            // object that the compiler knows.
            Ok(unsafe {
                core::ptr::with_exposed_provenance::<u64>(address as usize).read_volatile()
            })
        };

        let mut address = FrameAddress::from_instruction_pointer(ip);
        let mut sp = StackPointer(lowest as usize);
        for _ in 0..limit {
            let caller = modules.unwind_frame(address, &mut registers, &mut self.cache, &mut read);
            let caller = match caller {
                Ok(Some(caller)) => FrameAddress::from_return_address(caller),
                // The frame that holds the mark returns to an address above the mark.
                Err(_) if past_the_mark.get() => {
                    return match mark.distance(sp) {
                        Some(distance) if distance <= LARGEST_MARKED_FRAME => Reach::Mark,
                        _ => Reach::Lost,
                    };
                }
                Ok(None) | Err(_) => None,
            };
            let above = StackPointer(registers.sp() as usize);
            let Some(caller) = caller.filter(|_| above > sp) else {
                return Reach::Lost;
            };
            frames.push(PhysicalFrame {
                ip: ReturnAddress(address.address() as usize),
                sp,
            });
            (address, sp) = (caller, above);
        }
        Reach::Limit
    }
}

/// The stack pointer of the function into which this is inlined.
#[inline(always)]
pub(super) fn stack_pointer() -> usize {
    let sp: usize;
    // SAFETY: copies a register into another.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        asm!("mov {}, sp", out(reg) sp, options(nomem, nostack, preserves_flags));
    }
    sp
}

/// The instruction pointer and the registers of the function into which this is inlined.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn here() -> (u64, Registers) {
    let (ip, sp, bp): (u64, u64, u64);
    // SAFETY: copies three registers into others.
    unsafe {
        asm!(
            "lea {ip}, [rip]",
            "mov {sp}, rsp",
            "mov {bp}, rbp",
            ip = out(reg) ip,
            sp = out(reg) sp,
            bp = out(reg) bp,
            options(nomem, nostack, preserves_flags),
        );
    }
    (ip, Registers::new(ip, sp, bp))
}

/// The instruction pointer and the registers of the function into which this is inlined.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn here() -> (u64, Registers) {
    let (ip, sp, fp, lr): (u64, u64, u64, u64);
    // SAFETY: copies four registers into others.
    unsafe {
        asm!(
            "adr {ip}, .",
            "mov {sp}, sp",
            "mov {fp}, x29",
            "mov {lr}, x30",
            ip = out(reg) ip,
            sp = out(reg) sp,
            fp = out(reg) fp,
            lr = out(reg) lr,
            options(nomem, nostack, preserves_flags),
        );
    }
    (ip, Registers::new(lr, sp, fp))
}
