//! The choice of the signal, and its handler.

use std::ffi::c_int;
use std::sync::atomic::{AtomicI32, Ordering};

use super::super::{NoSample, SampleSignalError, USABLE};
use super::handler::{HARMLESS, on_signal};
use crate::escape::Escaped;
use crate::os;
use crate::os::signal::{self, Disposition, Purpose};

/// What was asked for with [`set_sample_signal`]: a number, or one of these.
static CONFIGURED: AtomicI32 = AtomicI32::new(UNDECIDED);
/// Nobody has said, and the environment has not been looked at.
const UNDECIDED: i32 = -1;
/// The first that is free.
const ANY: i32 = -2;
pub(super) const OFF: i32 = 0;

/// The signal that was used last.
static USED_LAST: AtomicI32 = AtomicI32::new(0);

/// The environment variable for those who do not call [`set_sample_signal`].
const VARIABLE: &str = "TASKTRACE_SAMPLE_SIGNAL";

/// The values of the variable that turn sampling off.
const NO: [&str; 5] = ["0", "none", "off", "false", "no"];

/// Chooses the signal by which a thread is interrupted in the middle of a poll, for the stack of a
/// task that is running. `None` turns that off.
///
/// System calls go on after it, but for those that never do after a signal has been handled, which
/// return `EINTR` (see `man 7 signal`): `poll` and `epoll_wait`, for example, or `recv` on a socket
/// that has a timeout. The standard library repeats most of them.
///
/// Nothing is installed until there is a running task to be shown. If the program handles the signal
/// itself, at that time or later, it is left alone, and there are no stacks of running tasks.
///
/// By default it is the first that the program does not handle of `SIGURG` and `SIGWINCH`. If it handles both,
/// there are no such stacks. The environment variable `TASKTRACE_SAMPLE_SIGNAL` does the same as this
/// function: a name, a number, or `none`. It has no effect on programs with more rights than their users.
///
/// # Signals that end programs
///
/// **Choose one that is ignored where it is not handled: `SIGURG`, `SIGWINCH` or `SIGCHLD`.** The default of
/// the others that can be chosen, such as `SIGPROF`, `SIGUSR1` and the real-time signals, is to end the process, and that is
/// what a signal does that is still on its way when its handler is gone:
///
/// * The program replaces itself by `exec` while it is asked for a dump. The handler is gone, and the signal
///   ends **the new program** at its first instruction.
/// * The program restores the default while it is asked for a dump.
///
/// So such a signal is for programs that do neither. One that another process sends still ends the program, though
/// the handler is there; one that the program sends to a thread of its own does not.
///
/// # Errors
///
/// If others send the signal to end, stop or continue a program, such as `SIGTERM`, if a thread causes it by what it
/// does, such as `SIGSEGV`, or if there is no such signal. What was chosen before stays chosen then. An unusable value of
/// the variable turns sampling off, and a line on the standard error output says so.
///
/// # Room for the handler
///
/// The handler runs on the alternate signal stack of the thread. Each thread gets a larger one when it
/// first polls a task: with as much room as the one that it had before, for handlers of the program, and
/// 48 KiB more and twice what the system writes there for a signal, for ours. It is address space until
/// there is a sample, and given back when the thread ends. Threads that begin to poll when sampling is
/// turned off get none, and cannot be sampled later. If a program gives a thread another alternate stack
/// after that, it must leave twice `AT_MINSIGSTKSZ` and 4 KiB beyond what its own handlers need. The stack that it
/// replaces may be ours, whose memory is gone when the thread has run its destructors: it can be installed again before
/// that, and not in such a destructor.
///
/// ```
/// # #[cfg(target_os = "linux")]
/// # fn main() -> Result<(), tasktrace::SampleSignalError> {
/// tasktrace::set_sample_signal(Some(28))?; // SIGWINCH
/// # tasktrace::set_sample_signal(None)?;
/// # Ok(())
/// # }
/// # #[cfg(not(target_os = "linux"))]
/// # fn main() {}
/// ```
pub fn set_sample_signal(signal: Option<i32>) -> Result<(), SampleSignalError> {
    if let Some(signal) = signal.filter(|signal| !can_be_chosen(*signal)) {
        return Err(SampleSignalError { signal });
    }
    CONFIGURED.store(signal.unwrap_or(OFF), Ordering::Relaxed);
    Ok(())
}

/// Returns `true` unless the signal has a meaning that a handler of ours would take from it.
fn can_be_chosen(signal: c_int) -> bool {
    match signal {
        // Timers send them, and hardly anybody ends a program with them.
        libc::SIGPROF | libc::SIGVTALRM => true,
        libc::SIGCONT => false,
        _ => {
            // Those between are the C library's own.
            let exists = (1..32).contains(&signal)
                || (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&signal);
            exists && signal::purpose(signal) == Purpose::Tell
        }
    }
}

/// Returns what a value of the environment variable asks for. `Err` if it is unusable.
fn read(value: &str) -> Result<i32, ()> {
    let value = value.trim();
    match signal::number(value) {
        _ if value.is_empty() => Ok(ANY),
        _ if NO.iter().any(|no| no.eq_ignore_ascii_case(value)) => Ok(OFF),
        Some(signal) if can_be_chosen(signal) => Ok(signal),
        _ => Err(()),
    }
}

pub(super) fn configured() -> i32 {
    let configured = CONFIGURED.load(Ordering::Relaxed);
    if configured != UNDECIDED {
        return configured;
    }
    let value = os::env::text(VARIABLE).unwrap_or_default();
    let read = read(&value);
    let from_environment = read.unwrap_or(OFF);
    // Who calls the function at the same time is right.
    let decided = CONFIGURED.compare_exchange(
        UNDECIDED,
        from_environment,
        Ordering::Relaxed,
        Ordering::Relaxed,
    );
    if decided.is_ok() && read.is_err() {
        os::stderr::write(&format!(
            "tasktrace: {VARIABLE}: `{}` is no signal that tasks can be sampled with, so running tasks have no \
             stacks: use {USABLE}, or `none`\n",
            Escaped(&value)
        ));
    }
    decided.err().unwrap_or(from_environment)
}

/// A signal whose handler is ours.
///
/// The caller is the asker.
pub(super) fn usable_signal() -> Result<c_int, NoSample> {
    let candidates: Vec<c_int> = match configured() {
        OFF => return Err(NoSample::Unsupported),
        ANY => HARMLESS.to_vec(),
        signal => vec![signal],
    };
    let in_use = USED_LAST.load(Ordering::Relaxed);
    let is_ours = |signal: &c_int| {
        Disposition::of(*signal).is_ok_and(|disposition| disposition.is(on_signal))
    };
    if candidates.contains(&in_use) && is_ours(&in_use) {
        return Ok(in_use);
    }
    let found = candidates
        .into_iter()
        .find(|signal| is_ours(signal) || claim(*signal));
    let signal = found.ok_or(NoSample::NoSignal)?;
    USED_LAST.store(signal, Ordering::Relaxed);
    Ok(signal)
}

/// Makes the handler ours, if nobody has one.
fn claim(signal: c_int) -> bool {
    if !Disposition::of(signal).is_ok_and(|disposition| disposition.is_default()) {
        return false;
    }
    // On the alternate stack, where there is room: see `os::signal_stack`.
    let ours = Disposition::DEFAULT.with(on_signal);
    match ours.replace(signal) {
        Ok(before) if before.is_default() => true,
        // Somebody was faster, and is to have it.
        Ok(before) => {
            let _ = before.set(signal);
            false
        }
        Err(_) => false,
    }
}
