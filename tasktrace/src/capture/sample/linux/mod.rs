//! Interrupting a thread on Linux.
//!
//! The handler stays where it is once it is installed: a signal may still be on its way. It does
//! nothing unless its thread is asked. A signal is used only while its handler is ours: what a program
//! does with its signals is respected, also if it begins to after we did.
//!
//! * [`signal`]: the choice of the signal, and its handler. [`handler`]: the handler. [`context`]: its arguments.
//! * [`asker`]: the right to interrupt threads. [`shared`]: the memory that askers share with the handler.
//! * [`room`]: what the handler writes and the asker reads. [`copy`]: copies of a stack.

mod asker;
mod context;
mod copy;
mod handler;
mod room;
mod shared;
mod signal;

use std::ffi::c_int;
use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::handshake::{Handshake, Unanswered};
use super::{Collect, NoSample, Walked};
use crate::os;
use crate::os::signal_stack::SignalStack;
use asker::Asker;
use room::Room;
pub use signal::set_sample_signal;
use signal::{OFF, configured, usable_signal};

/// How long a thread is waited for. It needs microseconds once it runs, but has to get a processor.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a thread may have the signal blocked because it is about to leave the handler. Longer if
/// it was the last to answer.
const LEAVING: Duration = Duration::from_millis(5);

/// Gives the calling thread room for the handler. `None` if there is none to be had, or if no thread is to be
/// interrupted.
pub(super) fn make_room() -> Option<SignalStack> {
    match configured() {
        OFF => None,
        _ => SignalStack::install(),
    }
}

pub(super) fn sample(
    thread: u64,
    has_room: bool,
    collect: Collect,
    deadline: Instant,
) -> Result<Walked, NoSample> {
    let asker = Asker::wait(deadline).ok_or(NoSample::Busy)?;
    let signal = usable_signal()?;
    if !has_room {
        return Err(NoSample::NoRoom);
    }
    let shared = asker.shared();
    let may_leave_handler = match shared.was_answered_by(thread) {
        true => PATIENCE,
        false => LEAVING,
    };
    if blocks(
        thread,
        signal,
        deadline.min(Instant::now() + may_leave_handler),
    ) {
        return Err(NoSample::SignalBlocked);
    }
    let asked = Instant::now();
    let deadline = deadline.min(asked + PATIENCE);
    let mut sent = Ok(());
    let wait = || {
        sent = os::thread::send(thread, signal);
        if sent.is_ok() {
            wait_for(shared, deadline);
        }
    };
    // SAFETY: `asker` is the only one (`ASKER`). It leaves a room whose question is unfinished alone (`abandon`), and takes
    // that back only when it is answered (`Shared::left`).
    let answer = unsafe { shared.question(thread, |room| room.prepare(collect), wait, Room::walk) };
    let is_over = |error: &io::Error| error.raw_os_error() == Some(libc::ESRCH);
    answer.unwrap_or_else(|why| {
        if why == Unanswered::Unfinished {
            asker.abandon();
        }
        Err(match sent {
            Err(error) if why == Unanswered::NotBegun => match is_over(&error) {
                true => NoSample::Over,
                false => NoSample::Refused,
            },
            _ => NoSample::NoResponse(asked.elapsed()),
        })
    })
}

/// Mostly it takes some microseconds, so the first looks are close to each other.
fn wait_for(shared: &Handshake<Room>, deadline: Instant) {
    let mut pause = Duration::from_micros(10);
    while !shared.is_answered() && Instant::now() < deadline {
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(2));
    }
}

/// Returns `true` if the thread still blocks the signal at the time `until`.
///
/// So it has for a moment when it has answered, until it has left the handler.
fn blocks(thread: u64, signal: c_int, until: Instant) -> bool {
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

/// As far as the system tells.
fn is_blocked(thread: u64, signal: c_int) -> bool {
    let status = fs::read_to_string(format!("/proc/self/task/{thread}/status"));
    let status = status.unwrap_or_default();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    let blocked = blocked.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    blocked.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests;
