//! Interrupts a thread on Linux and copies its stack.
//!
//! Once installed, the handler stays installed, because a signal may still be pending. It does nothing unless a request
//! to its thread is open. A signal is used only while its handler is tasktrace's: if the program installs its own
//! handler, even later, that handler stays.
//!
//! * [`signal`]: selects the signal and installs the handler. [`handler`]: the handler. [`context`]: its arguments.
//! * [`permit`]: the permit to interrupt threads, which at most one requester holds. [`shared_buffer`]: the buffers
//!   that requesters share with the handler.
//! * [`buffer`]: the data that the handler writes and the requester reads. [`copy`]: copies a stack. [`socket_pair`]:
//!   copies memory where the system lacks the call for that.

mod buffer;
mod context;
mod copy;
mod handler;
mod permit;
mod shared_buffer;
mod signal;
mod socket_pair;

use std::ffi::c_int;
use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

use super::handshake::{Handshake, RequestError};
use super::{NoSample, ReadSampledScopes, StateAddress, WalkedSample};
use crate::os;
use crate::os::signal_stack::SignalStack;
use crate::os::time::Instant;
use buffer::SampleBuffer;
use permit::InterruptPermit;
pub use signal::set_sample_signal;
use signal::{OFF, configured, usable_signal};

/// The time to wait for an answer. The handler takes microseconds once the thread runs, but the thread may have to wait
/// for a processor.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// The time to wait for the thread to unblock the signal, which it blocks while it leaves the handler. If the last
/// answer came from this thread, the time is [`RESPONSE_TIMEOUT`].
const UNBLOCK_TIMEOUT: Duration = Duration::from_millis(5);

/// Gives the calling thread an alternate stack for the handler. Returns `None` if none can be installed, or if sampling
/// is turned off.
pub(super) fn install_handler_stack() -> Option<SignalStack> {
    match configured() {
        OFF => None,
        _ => SignalStack::install(),
    }
}

/// Interrupts a thread and walks the copy of its stack.
pub(super) fn sample(
    thread: u64,
    has_handler_stack: bool,
    _: &StateAddress,
    read_scopes: ReadSampledScopes,
    deadline: Instant,
) -> Result<WalkedSample, NoSample> {
    let permit = InterruptPermit::wait(deadline).ok_or(NoSample::Busy)?;
    let signal = usable_signal(&permit)?;
    if !has_handler_stack {
        return Err(NoSample::NoRoom);
    }
    let shared = permit.shared();
    let unblock_timeout = match shared.was_answered_by(thread) {
        true => RESPONSE_TIMEOUT,
        false => UNBLOCK_TIMEOUT,
    };
    if still_blocks_at(
        deadline.min(Instant::now() + unblock_timeout),
        thread,
        signal,
    ) {
        return Err(NoSample::SignalBlocked);
    }
    let requested = Instant::now();
    let deadline = deadline.min(requested + RESPONSE_TIMEOUT);
    let mut sent = Ok(());
    let wait = || {
        sent = os::thread::send(thread, signal);
        if sent.is_ok() {
            wait_for(shared, deadline);
        }
    };
    // SAFETY: `permit` exists, and only one thread has a permit (`PERMIT_HOLDER`), so this is the only requester. A
    // requester abandons a buffer whose request is unfinished (`abandon` below), and uses it again only after the
    // request was answered (`SharedBuffer::reclaim`).
    let answer = unsafe {
        shared.request(
            thread,
            |buffer| buffer.prepare(read_scopes),
            wait,
            SampleBuffer::walk,
        )
    };
    let is_over = |error: &io::Error| error.raw_os_error() == Some(libc::ESRCH);
    answer.unwrap_or_else(|error| {
        if error == RequestError::Unfinished {
            permit.abandon();
        }
        Err(match sent {
            Err(send_error) if error == RequestError::NotStarted => match is_over(&send_error) {
                true => NoSample::Over,
                false => NoSample::Refused,
            },
            _ => NoSample::NoResponse(requested.elapsed()),
        })
    })
}

/// Waits for an answer until the deadline. Most answers take some microseconds, so the first checks come quickly.
fn wait_for(shared: &Handshake<SampleBuffer>, deadline: Instant) {
    let mut pause = Duration::from_micros(10);
    while !shared.is_answered() && Instant::now() < deadline {
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(2));
    }
}

/// Waits until the thread does not block the signal. Returns `true` if it still does at the time `until`.
///
/// A thread that has just answered blocks the signal until it has left the handler.
fn still_blocks_at(until: Instant, thread: u64, signal: c_int) -> bool {
    let mut pause = Duration::from_micros(20);
    while is_blocked(thread, signal) {
        if Instant::now() >= until {
            return true;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(2));
    }
    false
}

/// Returns `true` if the thread blocks the signal, according to `/proc`.
fn is_blocked(thread: u64, signal: c_int) -> bool {
    let status = fs::read_to_string(format!("/proc/self/task/{thread}/status"));
    let status = status.unwrap_or_default();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    let blocked = blocked.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    blocked.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests;
