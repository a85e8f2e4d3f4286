//! Processes, as the operating system knows them.

use std::io;

/// Whether there is a process of this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Alive {
    /// There is, and it can be sent signals by this one.
    Ours,
    /// There is, and it belongs to somebody else.
    Foreign,
    /// There is none.
    No,
}

/// Asks whether there is a process of this number.
#[must_use]
pub fn alive(process: u32) -> Alive {
    // 0 and what is negative mean groups of processes.
    let Some(number) = libc::pid_t::try_from(process).ok().filter(|it| *it > 0) else {
        return Alive::No;
    };
    // SAFETY: it takes two numbers, and sends nothing.
    match unsafe { libc::kill(number, 0) } {
        0 => Alive::Ours,
        _ => match io::Error::last_os_error().raw_os_error() {
            Some(libc::ESRCH) => Alive::No,
            _ => Alive::Foreign,
        },
    }
}

/// Whose rights this process has.
#[must_use]
pub fn user() -> u32 {
    // SAFETY: it takes nothing and always succeeds.
    unsafe { libc::geteuid() }
}

/// Has a function called when the process exits, by the end of `main` or by `exit`, but not when it
/// is ended by a signal. In a child of `fork` as well.
#[cfg(feature = "attach")]
pub(crate) fn at_exit(then: extern "C" fn()) {
    // SAFETY: it is a function, for as long as there is code of ours. Without memory for it there is
    // nothing to be done.
    let _ = unsafe { libc::atexit(then) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_alive() {
        assert_eq!(alive(std::process::id()), Alive::Ours);
        assert_eq!(alive(0), Alive::No);
        assert_eq!(alive(u32::MAX), Alive::No);
        let mut child = std::process::Command::new("true")
            .spawn()
            .expect("it is everywhere");
        child.wait().expect("it is our child");
        assert_eq!(alive(child.id()), Alive::No);
    }
}
