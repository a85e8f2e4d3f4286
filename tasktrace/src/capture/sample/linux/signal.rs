//! Selects the signal that interrupts threads, and installs its handler.

use std::ffi::c_int;
use std::sync::atomic::{AtomicI32, Ordering};

use super::super::{NoSample, RECOMMENDED_SIGNALS, SampleSignalError, variable};
use super::handler::{HARMLESS, on_signal};
use super::permit::InterruptPermit;
use crate::escape::Escaped;
use crate::os;
use crate::os::signal::{self, Disposition, SignalPurpose};

/// The signal that [`set_sample_signal`] or the environment has selected: a number, [`UNDECIDED`], [`ANY`] or [`OFF`].
static CONFIGURED: AtomicI32 = AtomicI32::new(UNDECIDED);
/// No signal is selected, and the environment was not read yet.
const UNDECIDED: i32 = -1;
/// The first of the [`HARMLESS`] signals that the program does not handle.
const ANY: i32 = -2;
/// Sampling is turned off.
pub(super) const OFF: i32 = 0;

/// The signal that was used last.
static LAST_USED: AtomicI32 = AtomicI32::new(0);

/// Selects the signal that interrupts a thread in the middle of a poll, to show the stack of a running task. `None`
/// turns sampling off.
///
/// After the signal, system calls are restarted, except for those that return `EINTR` whenever a signal was handled
/// (see `man 7 signal`): for example `poll`, `epoll_wait`, and `recv` on a socket with a timeout. The standard library
/// repeats most of these calls.
///
/// The handler is installed when a running task is sampled for the first time. If the program handles the signal
/// itself, at that time or later, its handler stays, and running tasks have no stacks.
///
/// By default the signal is the first of `SIGURG` and `SIGWINCH` that the program does not handle. If the program
/// handles both, running tasks have no stacks. The environment variable `TASKTRACE_SAMPLE_SIGNAL` has the effect of
/// this function: its value is the name or the number of a signal, or `none`. A program that runs with more rights than
/// its user ignores the variable.
///
/// # Signals that end programs
///
/// **Choose a signal that is ignored by default: `SIGURG`, `SIGWINCH` or `SIGCHLD`.** The other signals that can be
/// selected, such as `SIGPROF`, `SIGUSR1` and the real-time signals, end the process by default. A pending signal does
/// so if the handler is removed before the signal arrives:
///
/// * The program replaces itself by `exec` while a dump samples it. The signal ends **the new program** at its first
///   instruction.
/// * The program restores the default action while a dump samples it.
///
/// So such a signal is only for programs that do neither. While the handler is installed, the signal still ends the
/// program if another process sends it, but not if the program sends it to one of its own threads.
///
/// # Errors
///
/// Returns an error if the signal does not exist, if it is sent to end, stop or continue a program, such as `SIGTERM`,
/// or if a fault of a thread causes it, such as `SIGSEGV`. The previous selection stays then. An unusable value of the
/// environment variable turns sampling off, and a line on the standard error output says so.
///
/// # Room for the handler
///
/// The handler runs on the alternate signal stack of its thread. Each thread gets a larger alternate stack when it
/// first polls a task. Its size is that of the thread's previous alternate stack, for the handlers of the program, plus
/// 48 KiB and twice the size of the frame that the system writes for a signal, for the handler of tasktrace. The stack
/// is reserved address space until the first sample, and is unmapped when the thread ends. A thread that first polls
/// while sampling is turned off gets no such stack, and cannot be sampled later.
///
/// If the program installs another alternate stack on a thread later, that stack needs twice `AT_MINSIGSTKSZ` and 4 KiB
/// in addition to the needs of the program's handlers. The replaced stack may be tasktrace's, which is unmapped when
/// the destructors of the thread have run. The program may reinstall it before that, but not in such a destructor.
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

/// Returns `true` if the signal exists and a handler of tasktrace would not take away its meaning.
fn can_be_chosen(signal: c_int) -> bool {
    match signal {
        // Timers send these signals, and they are hardly ever used to end a program.
        libc::SIGPROF | libc::SIGVTALRM => true,
        libc::SIGCONT => false,
        _ => {
            // The signals between 31 and `SIGRTMIN` belong to the C library.
            let exists = (1..32).contains(&signal)
                || (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&signal);
            exists && signal::purpose(signal) == SignalPurpose::Notify
        }
    }
}

/// Parses a value of the environment variable. Returns `Err` if the value is unusable.
fn parse(value: &str) -> Result<i32, ()> {
    let value = value.trim();
    match signal::number(value) {
        _ if value.is_empty() => Ok(ANY),
        _ if variable::turns_off(value) => Ok(OFF),
        Some(signal) if can_be_chosen(signal) => Ok(signal),
        _ => Err(()),
    }
}

/// Returns the selection, after reading the environment if there was none.
pub(super) fn configured() -> i32 {
    let configured = CONFIGURED.load(Ordering::Relaxed);
    if configured != UNDECIDED {
        return configured;
    }
    let value = os::env::text(variable::NAME).unwrap_or_default();
    let parsed = parse(&value);
    let from_environment = parsed.unwrap_or(OFF);
    // A concurrent call of `set_sample_signal` wins.
    let decided = CONFIGURED.compare_exchange(
        UNDECIDED,
        from_environment,
        Ordering::Relaxed,
        Ordering::Relaxed,
    );
    if decided.is_ok() && parsed.is_err() {
        os::stderr::write(&format!(
            "tasktrace: {}: tasks cannot be sampled with the signal `{}`, so running tasks have no \
             stacks: use {RECOMMENDED_SIGNALS}, or `none`\n",
            variable::NAME,
            Escaped(&value)
        ));
    }
    decided.err().unwrap_or(from_environment)
}

/// Returns a signal whose handler is tasktrace's. Installs the handler if it is missing.
pub(super) fn usable_signal(_permit: &InterruptPermit) -> Result<c_int, NoSample> {
    let candidates: Vec<c_int> = match configured() {
        OFF => return Err(NoSample::Unsupported),
        ANY => HARMLESS.to_vec(),
        signal => vec![signal],
    };
    let in_use = LAST_USED.load(Ordering::Relaxed);
    let is_ours = |signal: &c_int| {
        Disposition::of(*signal).is_ok_and(|disposition| disposition.calls(on_signal))
    };
    if candidates.contains(&in_use) && is_ours(&in_use) {
        return Ok(in_use);
    }
    let found = candidates
        .into_iter()
        .find(|signal| is_ours(signal) || claim(*signal));
    let signal = found.ok_or(NoSample::NoSignal)?;
    LAST_USED.store(signal, Ordering::Relaxed);
    Ok(signal)
}

/// Installs the handler of tasktrace if the signal has its default action. Returns `true` if it was installed.
fn claim(signal: c_int) -> bool {
    if !Disposition::of(signal).is_ok_and(|disposition| disposition.is_default()) {
        return false;
    }
    // The handler runs on the alternate stack, which is large enough: see `os::signal_stack`.
    let ours = Disposition::DEFAULT.with_handler(on_signal);
    match ours.replace(signal) {
        Ok(before) if before.is_default() => true,
        // The program has installed a handler at the same time: restore that one.
        Ok(before) => {
            let _ = before.set(signal);
            false
        }
        Err(_) => false,
    }
}
