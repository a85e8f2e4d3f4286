//! Stops the threads of a process for as long as its memory is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use super::Thread;
use crate::address::Address;
use crate::error::Error;
use crate::limits::Deadline;

/// The longest time for which new threads are looked for, as a thread that is not stopped yet may start others.
const LONGEST: Duration = Duration::from_secs(5);

/// A stopped process. It goes on when this is dropped, or when this process ends.
pub(crate) struct Freeze {
    /// The stopped threads, each with the signal that it was about to receive, or 0.
    stopped: BTreeMap<u32, i32>,
    threads: Vec<Thread>,
}

impl Freeze {
    /// Stops all threads of a process.
    pub(crate) fn new(pid: u32) -> Result<Self, Error> {
        let mut freeze = Self {
            stopped: BTreeMap::new(),
            threads: Vec::new(),
        };
        let is_whole = stop_all(
            Deadline::after(LONGEST),
            || thread_ids(pid),
            |id| match freeze.stop(id) {
                Err(error) if is_of_ended_thread(&error) && has_ended(pid, id) => Ok(()),
                result => result,
            },
        );
        match is_whole {
            Ok(true) => Ok(freeze),
            Ok(false) => Err(Error::StartsThreads { pid }),
            Err(source) => Err(match source.raw_os_error() {
                Some(libc::ESRCH | libc::ENOENT) => Error::NoProcess { pid },
                Some(libc::EPERM) => match tracer(pid) {
                    Some(tracer) => Error::Traced { pid, tracer },
                    None => Error::permission(pid),
                },
                _ => Error::Freeze { pid, source },
            }),
        }
    }

    fn stop(&mut self, id: u32) -> io::Result<()> {
        command(Command::Seize, id)?;
        self.stopped.insert(id, 0);
        command(Command::Interrupt, id)?;
        let mut status = 0;
        loop {
            // SAFETY: `status` is a live integer that the call may write to. `__WALL` waits for threads that are not
            // children by fork too; the thread was seized above, so this process may wait for it.
            let waited = unsafe { libc::waitpid(id as libc::pid_t, &mut status, libc::__WALL) };
            match waited {
                -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => continue,
                -1 => return Err(io::Error::last_os_error()),
                _ => break,
            }
        }
        if !libc::WIFSTOPPED(status) {
            self.stopped.remove(&id);
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        self.stopped.insert(id, signal_of_stop(status));
        self.threads.push(thread(id));
        Ok(())
    }

    pub(crate) fn threads(&self) -> &[Thread] {
        &self.threads
    }
}

impl Drop for Freeze {
    fn drop(&mut self) {
        for (id, signal) in &self.stopped {
            // The thread may have been killed.
            let _ = command(Command::Detach { signal: *signal }, *id);
        }
    }
}

/// Stops threads until all that are listed were stopped. Returns `false` if there still are others at the deadline.
fn stop_all(
    deadline: Deadline,
    mut listed: impl FnMut() -> io::Result<Vec<u32>>,
    mut stop: impl FnMut(u32) -> io::Result<()>,
) -> io::Result<bool> {
    let mut known = BTreeSet::new();
    loop {
        let mut new = listed()?;
        new.retain(|id| known.insert(*id));
        if new.is_empty() {
            return Ok(true);
        }
        for id in new {
            if deadline.is_over() {
                return Ok(false);
            }
            stop(id)?;
        }
    }
}

/// Returns the signal that a stopped thread was about to receive, or 0. It is lost unless the thread gets it when it goes
/// on.
fn signal_of_stop(status: i32) -> i32 {
    let is_event = status >> 16 != 0;
    match is_event {
        true => 0,
        false => libc::WSTOPSIG(status),
    }
}

/// Returns `true` for the errors with which the kernel refuses to stop a thread that ends.
fn is_of_ended_thread(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ESRCH | libc::EPERM))
}

/// Returns `true` if a thread runs no more.
fn has_ended(pid: u32, id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/task/{id}/stat"));
    // The name of the program is in brackets, and may have any characters.
    let state = stat.as_deref().ok().and_then(|stat| {
        let after_name = stat.rsplit(')').next()?;
        after_name.split_ascii_whitespace().next()
    });
    matches!(state, None | Some("Z" | "X"))
}

/// Returns the process that traces another, such as a debugger.
fn tracer(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let mut lines = status.lines();
    let tracer = lines.find_map(|line| line.strip_prefix("TracerPid:"))?;
    tracer.trim().parse().ok().filter(|tracer| *tracer != 0)
}

fn thread_ids(pid: u32) -> io::Result<Vec<u32>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        ids.extend(
            entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<u32>().ok()),
        );
    }
    Ok(ids)
}

/// Returns a stopped thread with its registers.
fn thread(id: u32) -> Thread {
    let mut registers = MaybeUninit::<libc::user_regs_struct>::zeroed();
    // SAFETY: GETREGS writes one `user_regs_struct` to `data`, which points to room for exactly one, alive and borrowed
    // exclusively.
    let result = unsafe {
        libc::ptrace(
            libc::PTRACE_GETREGS,
            id as libc::pid_t,
            ptr::null_mut::<libc::c_void>(),
            registers.as_mut_ptr(),
        )
    };
    // SAFETY: The structure consists of integers, for which zeros are valid, and it was zeroed before the call.
    let registers = unsafe { registers.assume_init() };
    let register = |value| (result != -1).then(|| Address::new(value));
    Thread {
        id,
        stack_pointer: register(registers.rsp),
        instruction: register(registers.rip),
    }
}

/// A request that neither reads nor writes memory.
#[derive(Clone, Copy)]
enum Command {
    Seize,
    Interrupt,
    /// The thread receives the signal, unless that is 0.
    Detach {
        signal: i32,
    },
}

fn command(command: Command, id: u32) -> io::Result<()> {
    let (request, signal) = match command {
        Command::Seize => (libc::PTRACE_SEIZE, 0),
        Command::Interrupt => (libc::PTRACE_INTERRUPT, 0),
        Command::Detach { signal } => (libc::PTRACE_DETACH, signal),
    };
    let nothing = ptr::null_mut::<libc::c_void>();
    let signal = ptr::without_provenance_mut::<libc::c_void>(signal as usize);
    // SAFETY: The three requests take two integers: no options here, and the number of a signal. They access no memory
    // of this process.
    let result = unsafe { libc::ptrace(request, id as libc::pid_t, nothing, signal) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_were_started_meanwhile_are_stopped_too() {
        let mut stopped = Vec::new();
        let mut rounds = 0;
        let listed = || {
            rounds += 1;
            Ok((0..rounds.min(50)).collect())
        };
        let stop = |id| {
            stopped.push(id);
            Ok(())
        };
        assert!(stop_all(Deadline::after(Duration::from_secs(60)), listed, stop).unwrap());
        assert!(stopped.into_iter().eq(0..50));
    }

    #[test]
    fn a_process_that_starts_threads_without_end_is_not_called_stopped() {
        let mut rounds = 0;
        let listed = || {
            rounds += 1;
            Ok(vec![rounds])
        };
        let is_whole = stop_all(Deadline::after(Duration::from_millis(20)), listed, |_| {
            Ok(())
        });
        assert!(!is_whole.unwrap());
    }

    #[test]
    fn a_signal_that_was_about_to_arrive_is_kept() {
        const STOPPED: i32 = 0x7f;
        let by_signal = STOPPED | libc::SIGUSR1 << 8;
        assert_eq!(signal_of_stop(by_signal), libc::SIGUSR1);
        let by_interrupt = STOPPED | libc::SIGTRAP << 8 | libc::PTRACE_EVENT_STOP << 16;
        assert_eq!(signal_of_stop(by_interrupt), 0);
    }
}
