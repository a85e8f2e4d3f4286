//! Names signals, and installs and calls their handlers.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// The default signal of a dump.
pub(crate) const DEFAULT: c_int = libc::SIGUSR1;

/// The purpose of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignalPurpose {
    /// The signal notifies the program.
    Notify,
    /// The signal asks the program to end, and ends a program that does not handle it.
    End,
    /// The signal reports a fault after which the thread cannot continue, or has an effect of the system that no
    /// program can imitate.
    Other,
}

/// The signals with their names without `SIG`, their numbers and their purposes.
const SIGNALS: &[(&str, c_int, SignalPurpose)] = &[
    ("HUP", libc::SIGHUP, SignalPurpose::End),
    ("INT", libc::SIGINT, SignalPurpose::End),
    ("QUIT", libc::SIGQUIT, SignalPurpose::End),
    ("USR1", libc::SIGUSR1, SignalPurpose::Notify),
    ("USR2", libc::SIGUSR2, SignalPurpose::Notify),
    ("ALRM", libc::SIGALRM, SignalPurpose::End),
    ("TERM", libc::SIGTERM, SignalPurpose::End),
    ("CHLD", libc::SIGCHLD, SignalPurpose::Notify),
    ("CONT", libc::SIGCONT, SignalPurpose::Notify),
    ("URG", libc::SIGURG, SignalPurpose::Notify),
    ("XCPU", libc::SIGXCPU, SignalPurpose::End),
    ("VTALRM", libc::SIGVTALRM, SignalPurpose::End),
    ("PROF", libc::SIGPROF, SignalPurpose::End),
    ("WINCH", libc::SIGWINCH, SignalPurpose::Notify),
    ("IO", libc::SIGIO, SignalPurpose::Notify),
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    ("INFO", libc::SIGINFO, SignalPurpose::Notify),
    #[cfg(target_os = "linux")]
    ("PWR", libc::SIGPWR, SignalPurpose::End),
    ("ILL", libc::SIGILL, SignalPurpose::Other),
    ("TRAP", libc::SIGTRAP, SignalPurpose::Other),
    ("ABRT", libc::SIGABRT, SignalPurpose::Other),
    ("BUS", libc::SIGBUS, SignalPurpose::Other),
    ("FPE", libc::SIGFPE, SignalPurpose::Other),
    ("SEGV", libc::SIGSEGV, SignalPurpose::Other),
    ("SYS", libc::SIGSYS, SignalPurpose::Other),
    ("PIPE", libc::SIGPIPE, SignalPurpose::Other),
    ("XFSZ", libc::SIGXFSZ, SignalPurpose::Other),
    ("KILL", libc::SIGKILL, SignalPurpose::Other),
    ("STOP", libc::SIGSTOP, SignalPurpose::Other),
    ("TSTP", libc::SIGTSTP, SignalPurpose::Other),
    ("TTIN", libc::SIGTTIN, SignalPurpose::Other),
    ("TTOU", libc::SIGTTOU, SignalPurpose::Other),
];

/// Returns the number for `SIGUSR1`, `usr1` or `10`. A name is accepted only if a program can handle the signal and
/// continue.
pub(crate) fn number(name: &str) -> Option<c_int> {
    let name = name.trim();
    if let Ok(number) = name.parse() {
        return (number > 0).then_some(number);
    }
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let mut usable = SIGNALS
        .iter()
        .filter(|(_, _, purpose)| *purpose != SignalPurpose::Other);
    let known = usable.find(|(known, _, _)| *known == name);
    known.map(|(_, number, _)| *number)
}

/// Returns the name of a signal, such as `SIGUSR1`, or `signal 42` if it has none.
pub(crate) fn name(number: c_int) -> String {
    let known = SIGNALS.iter().find(|(_, known, _)| *known == number);
    known.map_or_else(
        || format!("signal {number}"),
        |(name, _, _)| format!("SIG{name}"),
    )
}

/// Returns the purpose of a signal. Unknown signals, such as the real-time signals, may notify the program.
/// Async-signal-safe.
pub(crate) fn purpose(number: c_int) -> SignalPurpose {
    let known = SIGNALS.iter().find(|(_, known, _)| *known == number);
    known.map_or(SignalPurpose::Notify, |(_, _, purpose)| *purpose)
}

/// A signal handler.
///
/// It must be async-signal-safe and leave `errno` unchanged.
pub(crate) type SignalHandler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// The action of a signal.
#[derive(Clone, Copy)]
pub(crate) struct Disposition(libc::sigaction);

impl Disposition {
    /// The action of a signal that no code has changed.
    // SAFETY: all fields of `sigaction` are numbers or signal sets, for which zero is valid: the default action, no
    // flags, and an empty mask.
    pub(crate) const DEFAULT: Self = Self(unsafe { MaybeUninit::zeroed().assume_init() });

    /// Returns the current action of a signal. Async-signal-safe.
    ///
    /// # Errors
    ///
    /// Returns an error if the signal does not exist.
    pub(crate) fn of(signal: c_int) -> io::Result<Self> {
        let mut current = Self::DEFAULT;
        // SAFETY: without a new action, `sigaction` only writes the current action to `current.0`, which is valid for
        // writes.
        match unsafe { libc::sigaction(signal, ptr::null(), &raw mut current.0) } {
            0 => Ok(current),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Returns `true` if this is the default action.
    pub(crate) fn is_default(&self) -> bool {
        self.0.sa_sigaction == libc::SIG_DFL
    }

    /// Returns `true` if the signal is ignored, which a parent process may have set.
    pub(crate) fn is_ignored(&self) -> bool {
        self.0.sa_sigaction == libc::SIG_IGN
    }

    /// Returns `true` if this action calls `handler`.
    pub(crate) fn calls(&self, handler: SignalHandler) -> bool {
        self.0.sa_sigaction == handler as libc::sighandler_t
    }

    /// Returns `true` if this action applies to one signal, after which the default action is restored.
    pub(crate) fn is_one_shot(&self) -> bool {
        self.0.sa_flags & libc::SA_RESETHAND != 0
    }

    /// Returns an action that calls `handler` as this action calls its handler: on the same stack, with the same
    /// blocked signals, and with system calls restarted if this action restarts them. So the program notices no
    /// difference.
    ///
    /// For the default action, the handler runs on the alternate stack of the thread, if there is one, because some
    /// threads have little room on their own stacks. System calls are restarted.
    pub(crate) fn with_handler(&self, handler: SignalHandler) -> Self {
        let mut action = self.0;
        if self.is_default() || self.is_ignored() {
            action = Self::DEFAULT.0;
            // These flags determine what becomes of child processes.
            action.sa_flags = self.0.sa_flags & (libc::SA_NOCLDSTOP | libc::SA_NOCLDWAIT);
            action.sa_flags |= libc::SA_RESTART | libc::SA_ONSTACK;
        }
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags |= libc::SA_SIGINFO;
        action.sa_flags &= !libc::SA_RESETHAND;
        Self(action)
    }

    /// Makes this the action of a signal. Async-signal-safe.
    ///
    /// # Errors
    ///
    /// Returns an error if the signal does not exist or cannot be handled.
    pub(crate) fn set(&self, signal: c_int) -> io::Result<()> {
        self.replace(signal).map(drop)
    }

    /// Makes this the action of a signal, and returns the previous action. Async-signal-safe.
    ///
    /// # Errors
    ///
    /// Returns an error if the signal does not exist or cannot be handled.
    pub(crate) fn replace(&self, signal: c_int) -> io::Result<Self> {
        let mut before = Self::DEFAULT;
        // SAFETY: `self.0` is a valid action: the system returned it, or `with_handler` set a `SignalHandler` and the
        // flag `SA_SIGINFO`, which requires a function of that type. `before.0` is valid for writes.
        match unsafe { libc::sigaction(signal, &raw const self.0, &raw mut before.0) } {
            0 => Ok(before),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Calls the handler of this action, if it has one.
    ///
    /// # Safety
    ///
    /// The caller must be inside a handler of `signal`, and pass the arguments that the system passed to that handler.
    pub(crate) unsafe fn call(
        &self,
        signal: c_int,
        info: *mut libc::siginfo_t,
        context: *mut c_void,
    ) {
        if self.is_default() || self.is_ignored() {
            return;
        }
        if self.0.sa_flags & libc::SA_SIGINFO == 0 {
            // SAFETY: the action is neither `SIG_DFL` nor `SIG_IGN`, so the field is the address of a handler. Without
            // `SA_SIGINFO`, `sigaction` requires a function of this type.
            let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(self.0.sa_sigaction) };
            handler(signal);
        } else {
            // SAFETY: the action is neither `SIG_DFL` nor `SIG_IGN`, so the field is the address of a handler. With
            // `SA_SIGINFO`, `sigaction` requires a function of this type.
            let handler: SignalHandler = unsafe { std::mem::transmute(self.0.sa_sigaction) };
            handler(signal, info, context);
        }
    }
}

/// Calls `run` while the calling thread blocks all signals but those of its own faults. A thread that `run` spawns
/// inherits the mask.
///
/// The threads of tasktrace are spawned this way: no code means to interrupt them, and a signal for the process must
/// reach the threads of the program that wait for it.
pub(crate) fn with_signals_blocked<R>(run: impl FnOnce() -> R) -> R {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigfillset` initialises the set, which is valid for writes.
    unsafe { libc::sigfillset(set.as_mut_ptr()) };
    for fault in [
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGABRT,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGSEGV,
        libc::SIGSYS,
    ] {
        // SAFETY: `sigfillset` has initialised the set, and the signals exist.
        unsafe { libc::sigdelset(set.as_mut_ptr(), fault) };
    }
    // SAFETY: `sigfillset` above has written the whole set, and `sigdelset` has only cleared bits of it since.
    let _mask = Mask::set(libc::SIG_BLOCK, unsafe { set.assume_init_ref() });
    run()
}

/// The signal mask of a thread of the program.
#[derive(Clone, Copy)]
pub(crate) struct ProgramMask(libc::sigset_t);

thread_local! {
    /// On a thread of tasktrace, the signal mask of the program's thread that started it, directly or through other
    /// threads of tasktrace.
    static PROGRAM_MASK: Cell<Option<ProgramMask>> = const { Cell::new(None) };
}

impl ProgramMask {
    /// Returns the signal mask of the calling thread. If that is a thread of tasktrace, returns the mask of the
    /// program's thread that started it.
    pub(crate) fn current() -> Option<Self> {
        if let Some(mask) = PROGRAM_MASK.get() {
            return Some(mask);
        }
        let mut set = MaybeUninit::uninit();
        // SAFETY: without a new set, `pthread_sigmask` only writes the current mask to `set`, which is valid for
        // writes.
        match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), set.as_mut_ptr()) } {
            // SAFETY: `pthread_sigmask` returned 0, so it has written the whole set.
            0 => Some(Self(unsafe { set.assume_init() })),
            _ => None,
        }
    }

    /// Marks the calling thread as a thread of tasktrace, and stores the mask of the program's thread that started it.
    pub(crate) fn set(this: Option<Self>) {
        PROGRAM_MASK.set(this);
    }
}

/// Calls code of the program on a thread of tasktrace, with the signal mask of the program. Threads that the code
/// spawns inherit that mask.
pub(crate) fn with_program_mask<R>(run: impl FnOnce() -> R) -> R {
    let program = PROGRAM_MASK.get();
    let _mask = program.and_then(|mask| Mask::set(libc::SIG_SETMASK, &mask.0));
    run()
}

/// The previous signal mask of the thread, which is restored when this value is dropped.
struct Mask(libc::sigset_t);

impl Mask {
    fn set(how: c_int, set: &libc::sigset_t) -> Option<Self> {
        let mut before = MaybeUninit::uninit();
        // SAFETY: `set` is an initialised set, and `before` is valid for writes.
        match unsafe { libc::pthread_sigmask(how, set, before.as_mut_ptr()) } {
            // SAFETY: `pthread_sigmask` returned 0, so it has written the whole set.
            0 => Some(Self(unsafe { before.assume_init() })),
            _ => None,
        }
    }
}

impl Drop for Mask {
    fn drop(&mut self) {
        // SAFETY: `self.0` is an initialised set, which `pthread_sigmask` only reads. A null pointer for the previous
        // mask is allowed.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

/// Sends a signal to the calling thread. Async-signal-safe.
///
/// Inside a handler of the signal, the signal is delivered when that handler returns.
pub(crate) fn raise(signal: c_int) {
    // SAFETY: `raise` takes a number and reports an invalid one by its result.
    unsafe { libc::raise(signal) };
}

/// Sends a signal to the calling thread, and unblocks the signal meanwhile.
pub(crate) fn raise_unblocked(signal: c_int) {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set, and `sigaddset` only adds a signal to it, or fails if there is no such
    // signal.
    let set: &libc::sigset_t = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        set.assume_init_ref()
    };
    let _mask = Mask::set(libc::SIG_UNBLOCK, set);
    raise(signal);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_found_by_name_and_number() {
        for text in ["SIGUSR1", "usr1", " Usr1 ", "SigUsr1"] {
            assert_eq!(number(text), Some(libc::SIGUSR1));
        }
        assert_eq!(number("34"), Some(34));
        for text in ["", "SIG", "KILL", "SEGV", "-1", "0", "USR3"] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!(name(libc::SIGTERM), "SIGTERM");
        assert_eq!(name(libc::SIGKILL), "SIGKILL");
        assert_eq!(name(34), "signal 34");
    }

    /// Returns `true` if a thread that is spawned here blocks the signal.
    fn is_blocked(signal: c_int) -> bool {
        let look = move || {
            let mut set = MaybeUninit::uninit();
            // SAFETY: without a new set, `pthread_sigmask` writes the current mask to `set`, which `sigismember` then
            // reads.
            unsafe {
                libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), set.as_mut_ptr());
                libc::sigismember(set.as_ptr(), signal) == 1
            }
        };
        std::thread::spawn(look).join().expect("it looks")
    }

    #[test]
    fn threads_of_tasktrace_block_all_signals_but_faults() {
        for signal in [libc::SIGTERM, libc::SIGUSR2, libc::SIGPIPE] {
            assert!(!is_blocked(signal));
            assert!(with_signals_blocked(|| is_blocked(signal)));
            assert!(!is_blocked(signal));
        }
        assert!(!with_signals_blocked(|| is_blocked(libc::SIGSEGV)));
    }

    #[test]
    fn unknown_signals_notify() {
        assert_eq!(purpose(libc::SIGUSR2), SignalPurpose::Notify);
        assert_eq!(purpose(libc::SIGTERM), SignalPurpose::End);
        assert_eq!(purpose(libc::SIGSEGV), SignalPurpose::Other);
        assert_eq!(purpose(34), SignalPurpose::Notify);
    }

    extern "C" fn handler(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {}

    #[test]
    fn a_new_handler_keeps_the_flags_of_the_previous_action() {
        let flags = |before: libc::c_int, is_handler: bool| {
            let mut disposition = match is_handler {
                true => Disposition::DEFAULT.with_handler(handler),
                false => Disposition::DEFAULT,
            };
            disposition.0.sa_flags = before;
            let with_handler = disposition.with_handler(handler);
            assert!(with_handler.calls(handler));
            with_handler.0.sa_flags
        };
        let flags_of_default = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        assert_eq!(flags(0, false), flags_of_default);
        assert_eq!(
            flags(libc::SA_NOCLDWAIT, false),
            flags_of_default | libc::SA_NOCLDWAIT
        );
        assert_eq!(flags(0, true), libc::SA_SIGINFO);
        assert_eq!(
            flags(libc::SA_RESETHAND | libc::SA_ONSTACK, true),
            libc::SA_SIGINFO | libc::SA_ONSTACK
        );
    }
}
