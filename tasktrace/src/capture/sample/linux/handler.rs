//! The signal handler.

use std::ffi::{c_int, c_void};

use super::context::Interruption;
use super::shared::IN_USE;
use crate::os;
use crate::os::errno::Errno;
use crate::os::signal::{self, Disposition};

/// The signals that are used unless the program has chosen one. The default action of each is to be ignored.
///
/// A signal may be on its way when the program replaces itself by `exec`, in any thread: then it comes when the
/// handler is gone, and the new program gets the default. So it may when the program takes the handler
/// away. `SIGCONT` is not one of these, because it has stopped processes go on, with any handler; and `SIGCHLD`
/// is not, because with a handler each child that ends would interrupt system calls.
pub(super) const HARMLESS: [c_int; 2] = [libc::SIGURG, libc::SIGWINCH];

/// As much of its stack must be left for the handler when it is called. It was *measured* to need less than 1 KiB in a
/// release build and 1.6 KiB in a debug build, beside what the system writes before.
pub(super) const HANDLER_NEEDS: usize = 4 << 10;

/// Calls nothing that is not safe in a signal handler, and does not panic.
pub(super) extern "C" fn on_signal(
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    let _errno = Errno::save();
    // SAFETY: the kernel has called this handler with these arguments, and `interruption` is gone when it returns.
    let interruption = unsafe { Interruption::new(info, context) };
    if !HARMLESS.contains(&signal) && signal != libc::SIGCHLD && !interruption.is_own() {
        // The default is what there was before: a handler is installed only then.
        let _ = Disposition::DEFAULT.set(signal);
        signal::raise(signal);
        return;
    }
    if let (Some(shared), Some(thread)) = (IN_USE.get(), os::thread::id()) {
        let has_room = interruption.room_left() >= HANDLER_NEEDS;
        shared.handshake.answer(thread, |room| {
            room.had_no_room = !has_room;
            if let Some(registers) = interruption.registers().filter(|_| has_room) {
                room.fill(registers);
            }
        });
    }
}
