//! Stops the threads of a process for as long as its memory is read.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use super::Thread;
use crate::address::Address;
use crate::error::Error;

/// The number of times that the list of threads is read again, as a thread that is not stopped yet may start others.
const ROUNDS: usize = 10;

/// A stopped process. It goes on when this is dropped, or when this process ends.
pub(crate) struct Freeze {
    stopped: BTreeSet<u32>,
    threads: Vec<Thread>,
}

impl Freeze {
    /// Stops all threads of a process.
    pub(crate) fn new(pid: u32) -> Result<Self, Error> {
        let failed = |source: io::Error| match source.raw_os_error() {
            Some(libc::ESRCH) => Error::NoProcess { pid },
            Some(libc::EPERM) => match tracer(pid) {
                Some(tracer) => Error::Traced { pid, tracer },
                None => Error::permission(pid),
            },
            _ => Error::Freeze { pid, source },
        };
        let mut freeze = Self {
            stopped: BTreeSet::new(),
            threads: Vec::new(),
        };
        for _ in 0..ROUNDS {
            let ids = thread_ids(pid).map_err(failed)?;
            let new: Vec<u32> = ids
                .into_iter()
                .filter(|id| !freeze.stopped.contains(id))
                .collect();
            if new.is_empty() {
                break;
            }
            for id in new {
                match freeze.stop(id) {
                    Ok(()) => {}
                    // It has ended meanwhile.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) && id != pid => {}
                    Err(error) => return Err(failed(error)),
                }
            }
        }
        Ok(freeze)
    }

    fn stop(&mut self, id: u32) -> io::Result<()> {
        command(Command::Seize, id)?;
        self.stopped.insert(id);
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
        self.threads.push(Thread {
            id,
            stack_pointer: stack_pointer(id),
        });
        Ok(())
    }

    pub(crate) fn threads(&self) -> &[Thread] {
        &self.threads
    }
}

impl Drop for Freeze {
    fn drop(&mut self) {
        for id in &self.stopped {
            // The thread may have been killed.
            let _ = command(Command::Detach, *id);
        }
    }
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

/// Returns the stack pointer of a stopped thread.
fn stack_pointer(id: u32) -> Option<Address> {
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
    (result != -1).then(|| Address::new(registers.rsp))
}

/// A request that neither reads nor writes memory.
#[derive(Clone, Copy)]
enum Command {
    Seize,
    Interrupt,
    Detach,
}

fn command(command: Command, id: u32) -> io::Result<()> {
    let request = match command {
        Command::Seize => libc::PTRACE_SEIZE,
        Command::Interrupt => libc::PTRACE_INTERRUPT,
        Command::Detach => libc::PTRACE_DETACH,
    };
    let nothing = ptr::null_mut::<libc::c_void>();
    // SAFETY: The three requests take two integers, no options and no signal here, and access no memory of this process.
    let result = unsafe { libc::ptrace(request, id as libc::pid_t, nothing, nothing) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
