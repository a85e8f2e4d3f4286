//! Implements the signal handler that copies the state of its thread.

use std::ffi::{c_int, c_void};

use super::context::Interruption;
use super::shared_buffer::IN_USE;
use crate::os;
use crate::os::errno::SavedErrno;
use crate::os::signal::{self, Disposition};

/// The signals that are used unless the program has selected one. By default, processes ignore them.
///
/// A signal may be pending when the program replaces itself by `exec`, or when it removes the handler. Then the signal
/// arrives without the handler, and its default action applies. `SIGCONT` is not in the list, because it resumes
/// stopped processes whatever the handler does. `SIGCHLD` is not in the list, because with a handler each child that
/// ends would interrupt system calls.
pub(super) const HARMLESS: [c_int; 2] = [libc::SIGURG, libc::SIGWINCH];

/// The number of bytes of stack that must be left when the handler is called. The handler was *measured* to need less
/// than 1 KiB in a release build and 1.6 KiB in a debug build, in addition to the frame that the system writes before.
pub(super) const HANDLER_NEEDS: usize = 4 << 10;

/// Answers an open request to this thread. The handler calls only functions that are safe in a signal handler, and does
/// not panic.
pub(super) extern "C" fn on_signal(
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    let _errno = SavedErrno::save();
    // SAFETY: the kernel has called this handler with these arguments, because `signal::claim` installs it by
    // `Disposition::with_handler`, which sets `SA_SIGINFO`. And `interruption` is a local variable, so its lifetime
    // ends before the handler returns.
    let interruption = unsafe { Interruption::new(info, context) };
    // A signal of another sender gets the default action. That is to do nothing for `HARMLESS` and for `SIGCHLD`.
    if !HARMLESS.contains(&signal) && signal != libc::SIGCHLD && !interruption.is_own() {
        // The default action was in place before: the handler is installed only over the default (`signal::claim`).
        let _ = Disposition::DEFAULT.set(signal);
        signal::raise(signal);
        return;
    }
    if let (Some(shared), Some(thread)) = (IN_USE.get(), os::thread::id()) {
        let has_room = interruption.stack_left() >= HANDLER_NEEDS;
        shared.handshake.answer(thread, |buffer| {
            buffer.lacked_stack = !has_room;
            if let Some(registers) = interruption.registers().filter(|_| has_room) {
                buffer.fill(registers);
            }
        });
    }
}
