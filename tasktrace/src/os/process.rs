//! Checks other processes, and registers functions for the exit of this process.

use std::io;

/// The state of a process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProcessState {
    /// A process has the id, and this process may send signals to it.
    Ours,
    /// A process of another user has the id.
    Foreign,
    /// No process has the id.
    NotRunning,
}

/// Returns the state of a process id.
#[must_use]
pub fn process_state(process: u32) -> ProcessState {
    // `kill` takes 0 and negative numbers for process groups.
    let Some(number) = libc::pid_t::try_from(process).ok().filter(|it| *it > 0) else {
        return ProcessState::NotRunning;
    };
    // SAFETY: `kill` takes two numbers. The signal 0 is not sent: the system only checks that it could be sent.
    match unsafe { libc::kill(number, 0) } {
        0 => ProcessState::Ours,
        _ => match io::Error::last_os_error().raw_os_error() {
            Some(libc::ESRCH) => ProcessState::NotRunning,
            _ => ProcessState::Foreign,
        },
    }
}

/// Returns the effective user id of this process.
#[must_use]
pub fn user() -> u32 {
    // SAFETY: `geteuid` has no arguments and no preconditions, and always succeeds.
    unsafe { libc::geteuid() }
}

/// Registers a function that is called when the process exits, at the end of `main` or by `exit`. It is not called if a
/// signal ends the process. A child of `fork` calls it too.
#[cfg(feature = "attach")]
pub(crate) fn at_exit(then: extern "C" fn()) {
    // SAFETY: `atexit` requires a function without arguments that stays callable. `then` has that type, and the C
    // library calls the functions of a library before it unloads the library. If there is no memory for the
    // registration, nothing can be done.
    let _ = unsafe { libc::atexit(then) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_this_process_and_of_an_ended_child_is_known() {
        assert_eq!(process_state(std::process::id()), ProcessState::Ours);
        assert_eq!(process_state(0), ProcessState::NotRunning);
        assert_eq!(process_state(u32::MAX), ProcessState::NotRunning);
        let mut child = std::process::Command::new("true")
            .spawn()
            .expect("it is everywhere");
        child.wait().expect("it is our child");
        assert_eq!(process_state(child.id()), ProcessState::NotRunning);
    }
}
