//! Tests the walker on functions of aarch64 whose instructions and unwind tables are written here.

use std::ffi::c_void;

use super::super::fast::FastWalker;
use super::*;

type Callback = unsafe extern "C" fn(*mut c_void);

/// A function that calls `callback` with `data`.
type Calls = unsafe extern "C" fn(callback: Callback, data: *mut c_void);

std::arch::global_asm!(
    ".text",
    ".p2align 2",
    // Signs its return address, like functions compiled with `-mbranch-protection=pac-ret`.
    ".type tasktrace_test_signed, %function",
    "tasktrace_test_signed:",
    ".cfi_startproc",
    "hint #25", // paciasp
    ".cfi_negate_ra_state",
    "stp x29, x30, [sp, #-16]!",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset w29, -16",
    ".cfi_offset w30, -8",
    "mov x29, sp",
    "mov x2, x0",
    "mov x0, x1",
    "blr x2",
    "ldp x29, x30, [sp], #16",
    ".cfi_restore w30",
    ".cfi_restore w29",
    ".cfi_def_cfa_offset 0",
    "hint #29", // autiasp
    ".cfi_negate_ra_state",
    "ret",
    ".cfi_endproc",
    // Finds its caller by the frame pointer, like functions with variable-length arrays.
    ".type tasktrace_test_frame_pointer, %function",
    "tasktrace_test_frame_pointer:",
    ".cfi_startproc",
    "stp x29, x30, [sp, #-32]!",
    ".cfi_def_cfa_offset 32",
    ".cfi_offset w29, -32",
    ".cfi_offset w30, -24",
    "mov x29, sp",
    ".cfi_def_cfa_register w29",
    "sub sp, sp, #208",
    "mov x2, x0",
    "mov x0, x1",
    "blr x2",
    "mov sp, x29",
    ".cfi_def_cfa_register wsp",
    "ldp x29, x30, [sp], #32",
    ".cfi_restore w30",
    ".cfi_restore w29",
    ".cfi_def_cfa_offset 0",
    "ret",
    ".cfi_endproc",
    // Has no frame pointer: saves only the return address, and leaves `x29` as it was.
    ".type tasktrace_test_no_frame_pointer, %function",
    "tasktrace_test_no_frame_pointer:",
    ".cfi_startproc",
    "str x30, [sp, #-48]!",
    ".cfi_def_cfa_offset 48",
    ".cfi_offset w30, -48",
    "mov x2, x0",
    "mov x0, x1",
    "blr x2",
    "ldr x30, [sp], #48",
    ".cfi_restore w30",
    ".cfi_def_cfa_offset 0",
    "ret",
    ".cfi_endproc",
);

unsafe extern "C" {
    #[link_name = "tasktrace_test_signed"]
    fn signed(callback: Callback, data: *mut c_void);
    #[link_name = "tasktrace_test_frame_pointer"]
    fn frame_pointer(callback: Callback, data: *mut c_void);
    #[link_name = "tasktrace_test_no_frame_pointer"]
    fn no_frame_pointer(callback: Callback, data: *mut c_void);
}

/// A walk in the middle of calls.
struct Walk<'a> {
    /// The functions that are still to be called.
    calls: &'a [Calls],
    mark: Mark,
    fast: Vec<PhysicalFrame>,
    portable: Vec<PhysicalFrame>,
}

/// Calls the next function, or walks.
///
/// # Safety
///
/// `walk` must point to a live [`Walk`] that no other code accesses before this function returns.
unsafe extern "C" fn descend_through(walk: *mut c_void) {
    // SAFETY: by the `# Safety` section, `walk` points to a `Walk` that is not used otherwise until this returns.
    let this = unsafe { &mut *walk.cast::<Walk<'_>>() };
    if let Some((next, calls)) = this.calls.split_first() {
        this.calls = calls;
        // SAFETY: the functions above follow the calling convention of C, and only call `descend_through` with `walk`,
        // which this function does not use afterwards.
        return unsafe { next(descend_through, walk) };
    }
    let mut walker = FastWalker::default();
    walker.refresh();
    let reach = walker.walk(this.mark, usize::MAX, &mut this.fast);
    assert_eq!(reach, Reach::Mark);
    let reach = portable::walk(this.mark, usize::MAX, &mut this.portable);
    assert_eq!(reach, Reach::Mark);
}

/// Asserts that the fast walker passes through these calls, and finds the frames that the platform's unwinder finds.
fn walks_through(calls: &[Calls]) {
    descend_from_mark(3, &mut |mark| {
        let mut walk = Walk {
            calls,
            mark,
            fast: Vec::new(),
            portable: Vec::new(),
        };
        // SAFETY: `walk` is a `Walk`, which is used again only after the call.
        unsafe { descend_through((&raw mut walk).cast()) };
        let (fast, portable) = (addresses(&walk.fast), addresses(&walk.portable));
        let outermost = fast.iter().rev().zip(portable.iter().rev());
        let common = outermost.take_while(|(one, other)| one == other).count();
        // Below `descend_through`, which calls both walkers at different addresses, each walker has its own functions.
        assert!(common >= 2 * calls.len() + 3, "{fast:x?}\n{portable:x?}");
    });
}

#[test]
fn a_walk_passes_through_functions_that_sign_their_return_address() {
    walks_through(&[signed]);
}

#[test]
fn a_walk_follows_the_frame_pointer() {
    walks_through(&[frame_pointer]);
}

#[test]
fn a_walk_needs_no_frame_pointer() {
    walks_through(&[no_frame_pointer]);
}

#[test]
fn a_walk_passes_through_all_kinds_of_functions() {
    walks_through(&[
        signed,
        no_frame_pointer,
        frame_pointer,
        signed,
        frame_pointer,
        no_frame_pointer,
    ]);
}

/// A thread can be interrupted in a function that has signed its return address and not yet saved it.
#[test]
fn the_signed_link_register_of_an_interrupted_thread_is_followed() {
    // The instruction behind the call.
    let return_address = no_frame_pointer as Calls as usize + 16;
    let stack_pointer = 0x1000;
    let link: usize;
    // SAFETY: `hint #8` is `pacia1716`, which writes the code of `x17` for the stack pointer in `x16` into `x17`. It
    // accesses no memory and changes no other register and no flag, so the options hold.
    unsafe {
        std::arch::asm!(
            "hint #8",
            inout("x17") return_address => link,
            in("x16") stack_pointer,
            options(nomem, nostack, preserves_flags),
        );
    }
    let thread = InterruptedThread {
        // The instruction behind `paciasp`.
        ip: signed as Calls as usize + 4,
        stack_pointer,
        frame_pointer: 0,
        link: Some(link),
        general: &[],
        is_fiber: false,
        stack: &[],
        is_cut: false,
    };
    let mut frames = Vec::new();
    let mut walker = FastWalker::default();
    // The walk is lost in the second function, because nothing of the stack is known.
    let reach = walker.walk_interrupted(&thread, Mark::NOWHERE, 3, &mut frames);
    assert_eq!((reach, frames.len()), (Reach::Lost, 2));
    assert_eq!(frames[1].ip, ReturnAddress(return_address));
    // The function has no frame yet.
    assert_eq!(frames[1].sp, StackPointer(stack_pointer));
}
