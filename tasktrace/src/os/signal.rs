//! Signals, and what is done with them.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// What one asks a program with that is to tell about itself.
pub(crate) const DEFAULT: c_int = libc::SIGUSR1;

/// What a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The program is told something.
    Tell,
    /// The program is told to end, and ends if it does not know better.
    End,
    /// A thread has done something that it cannot go on after, or the system does what no program
    /// can do in its place.
    Other,
}

/// What a signal is called, without `SIG`, its number and its purpose.
const SIGNALS: &[(&str, c_int, Purpose)] = &[
    ("HUP", libc::SIGHUP, Purpose::End),
    ("INT", libc::SIGINT, Purpose::End),
    ("QUIT", libc::SIGQUIT, Purpose::End),
    ("USR1", libc::SIGUSR1, Purpose::Tell),
    ("USR2", libc::SIGUSR2, Purpose::Tell),
    ("ALRM", libc::SIGALRM, Purpose::End),
    ("TERM", libc::SIGTERM, Purpose::End),
    ("CHLD", libc::SIGCHLD, Purpose::Tell),
    ("CONT", libc::SIGCONT, Purpose::Tell),
    ("URG", libc::SIGURG, Purpose::Tell),
    ("XCPU", libc::SIGXCPU, Purpose::End),
    ("VTALRM", libc::SIGVTALRM, Purpose::End),
    ("PROF", libc::SIGPROF, Purpose::End),
    ("WINCH", libc::SIGWINCH, Purpose::Tell),
    ("IO", libc::SIGIO, Purpose::Tell),
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    ("INFO", libc::SIGINFO, Purpose::Tell),
    #[cfg(target_os = "linux")]
    ("PWR", libc::SIGPWR, Purpose::End),
    ("ILL", libc::SIGILL, Purpose::Other),
    ("TRAP", libc::SIGTRAP, Purpose::Other),
    ("ABRT", libc::SIGABRT, Purpose::Other),
    ("BUS", libc::SIGBUS, Purpose::Other),
    ("FPE", libc::SIGFPE, Purpose::Other),
    ("SEGV", libc::SIGSEGV, Purpose::Other),
    ("SYS", libc::SIGSYS, Purpose::Other),
    ("PIPE", libc::SIGPIPE, Purpose::Other),
    ("XFSZ", libc::SIGXFSZ, Purpose::Other),
    ("KILL", libc::SIGKILL, Purpose::Other),
    ("STOP", libc::SIGSTOP, Purpose::Other),
    ("TSTP", libc::SIGTSTP, Purpose::Other),
    ("TTIN", libc::SIGTTIN, Purpose::Other),
    ("TTOU", libc::SIGTTOU, Purpose::Other),
];

/// The number of `SIGUSR1`, `usr1` or `10`. By its name, only of those that a program can handle,
/// and go on.
pub(crate) fn number(name: &str) -> Option<c_int> {
    let name = name.trim();
    if let Ok(number) = name.parse() {
        return (number > 0).then_some(number);
    }
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let mut usable = SIGNALS
        .iter()
        .filter(|(_, _, purpose)| *purpose != Purpose::Other);
    let known = usable.find(|(known, _, _)| *known == name);
    known.map(|(_, number, _)| *number)
}

/// `SIGUSR1`, or `signal 42`.
pub(crate) fn name(number: c_int) -> String {
    let known = SIGNALS.iter().find(|(_, known, _)| *known == number);
    known.map_or_else(
        || format!("signal {number}"),
        |(name, _, _)| format!("SIG{name}"),
    )
}

/// What it is for. Those that we do not know, such as the real-time signals, are free for anybody's
/// use. It may be called in a signal handler.
pub(crate) fn purpose(number: c_int) -> Purpose {
    let known = SIGNALS.iter().find(|(_, known, _)| *known == number);
    known.map_or(Purpose::Tell, |(_, _, purpose)| *purpose)
}

/// What is called when a signal comes.
///
/// It must do nothing but what is safe in a signal handler, and leave `errno` as it was.
pub(crate) type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// What is done when a signal comes.
#[derive(Clone, Copy)]
pub(crate) struct Disposition(libc::sigaction);

impl Disposition {
    /// That of a signal that nobody has done anything about.
    // SAFETY: all zero is a value of its type: what is usual, no flags, and an empty mask.
    pub(crate) const DEFAULT: Self = Self(unsafe { MaybeUninit::zeroed().assume_init() });

    /// It may be called in a signal handler.
    ///
    /// # Errors
    ///
    /// If there is no such signal.
    pub(crate) fn of(signal: c_int) -> io::Result<Self> {
        let mut current = Self::DEFAULT;
        // SAFETY: with no new action, it writes the current one to the place it is given.
        match unsafe { libc::sigaction(signal, ptr::null(), &raw mut current.0) } {
            0 => Ok(current),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Nobody has changed it: the process ends, or nothing happens.
    pub(crate) fn is_default(&self) -> bool {
        self.0.sa_sigaction == libc::SIG_DFL
    }

    /// It is ignored: a parent process may have asked for that.
    pub(crate) fn is_ignored(&self) -> bool {
        self.0.sa_sigaction == libc::SIG_IGN
    }

    /// Whether this is what is called.
    pub(crate) fn is(&self, handler: Handler) -> bool {
        self.0.sa_sigaction == handler as libc::sighandler_t
    }

    /// Whether it holds for one signal only, and is the default after that.
    pub(crate) fn is_once(&self) -> bool {
        self.0.sa_flags & libc::SA_RESETHAND != 0
    }

    /// Calls `handler` as this one would be called: on the same stack, with the same signals
    /// blocked, and with system calls restarted, or not, as the program expects it.
    ///
    /// Where this is the default, on the alternate stack of the thread if it has one, because there
    /// are threads with little room on their own; and with system calls restarted.
    pub(crate) fn with(&self, handler: Handler) -> Self {
        let mut action = self.0;
        if self.is_default() || self.is_ignored() {
            action = Self::DEFAULT.0;
            // These say what becomes of child processes.
            action.sa_flags = self.0.sa_flags & (libc::SA_NOCLDSTOP | libc::SA_NOCLDWAIT);
            action.sa_flags |= libc::SA_RESTART | libc::SA_ONSTACK;
        }
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags |= libc::SA_SIGINFO;
        action.sa_flags &= !libc::SA_RESETHAND;
        Self(action)
    }

    /// Has it done from now on. It may be called in a signal handler.
    ///
    /// # Errors
    ///
    /// If there is no such signal, or none that can be handled.
    pub(crate) fn set(&self, signal: c_int) -> io::Result<()> {
        self.replace(signal).map(drop)
    }

    /// The same, and returns what was done before.
    ///
    /// # Errors
    ///
    /// Likewise.
    pub(crate) fn replace(&self, signal: c_int) -> io::Result<Self> {
        let mut before = Self::DEFAULT;
        // SAFETY: it is what the system has told, or with a handler of the type that its flags ask
        // for, which is static. The one before is written to the place that is given.
        match unsafe { libc::sigaction(signal, &raw const self.0, &raw mut before.0) } {
            0 => Ok(before),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Calls the handler, if it is one.
    ///
    /// # Safety
    ///
    /// Within a handler of the signal, with what that was given.
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
            // SAFETY: without the flag, it is a function of this type; it is neither of the two
            // values that are none.
            let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(self.0.sa_sigaction) };
            handler(signal);
        } else {
            // SAFETY: with the flag, it is a function of this type.
            let handler: Handler = unsafe { std::mem::transmute(self.0.sa_sigaction) };
            handler(signal, info, context);
        }
    }
}

/// Runs it with all signals left to other threads. A thread that it spawns begins, and goes on, in
/// the same way: for threads of ours, which nobody means to interrupt, and on which nobody must find
/// a signal that all of the program's threads wait for.
///
/// What a thread does to itself still ends it.
pub(crate) fn left_to_others<R>(run: impl FnOnce() -> R) -> R {
    let mut set = MaybeUninit::uninit();
    // SAFETY: it fills the set.
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
        // SAFETY: the set has been filled, and there are such signals.
        unsafe { libc::sigdelset(set.as_mut_ptr(), fault) };
    }
    // SAFETY: it has been filled.
    let _mask = Mask::set(libc::SIG_BLOCK, unsafe { set.assume_init_ref() });
    run()
}

/// The signals that the threads of the program leave to others.
#[derive(Clone, Copy)]
pub(crate) struct Left(libc::sigset_t);

thread_local! {
    /// On a thread of ours, the signals that the thread of the program left to others which started it, or which
    /// started the thread of ours that did.
    static PROGRAM: Cell<Option<Left>> = const { Cell::new(None) };
}

impl Left {
    /// Those that the calling thread leaves to others, or if it is one of ours, the program's thread that started it.
    pub(crate) fn by_the_program() -> Option<Self> {
        if let Some(left) = PROGRAM.get() {
            return Some(left);
        }
        let mut set = MaybeUninit::uninit();
        // SAFETY: without a new set, it only writes the current one to the place that it is given.
        match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), set.as_mut_ptr()) } {
            // SAFETY: `pthread_sigmask` returned 0, so it has written the whole set.
            0 => Some(Self(unsafe { set.assume_init() })),
            _ => None,
        }
    }

    /// Makes the calling thread one of ours.
    pub(crate) fn remember(this: Option<Self>) {
        PROGRAM.set(this);
    }
}

/// Runs code of the program on a thread of ours, with those signals left to others that the program leaves: what it
/// spawns there begins with the same.
pub(crate) fn as_the_program<R>(run: impl FnOnce() -> R) -> R {
    let program = PROGRAM.get();
    let _mask = program.and_then(|left| Mask::set(libc::SIG_SETMASK, &left.0));
    run()
}

/// Which signals were left to others, and are again when this is dropped.
struct Mask(libc::sigset_t);

impl Mask {
    fn set(how: c_int, set: &libc::sigset_t) -> Option<Self> {
        let mut before = MaybeUninit::uninit();
        // SAFETY: it reads the one set and writes the other.
        match unsafe { libc::pthread_sigmask(how, set, before.as_mut_ptr()) } {
            // SAFETY: `pthread_sigmask` returned 0, so it has written the whole set.
            0 => Some(Self(unsafe { before.assume_init() })),
            _ => None,
        }
    }
}

impl Drop for Mask {
    fn drop(&mut self) {
        // SAFETY: it reads a set.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

/// Sends a signal to the calling thread. It may be called in a signal handler.
///
/// Within a handler of the signal, it comes when that has returned.
pub(crate) fn raise(signal: c_int) {
    // SAFETY: it takes no pointer.
    unsafe { libc::raise(signal) };
}

/// Sends a signal to the calling thread, which may have left it to others.
pub(crate) fn raise_here(signal: c_int) {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the first empties the set, to which the second adds if there is such a signal.
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
    fn names_and_numbers() {
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

    /// Whether a thread that is spawned here leaves the signal to others.
    fn is_left(signal: c_int) -> bool {
        let look = move || {
            let mut set = MaybeUninit::uninit();
            // SAFETY: it writes the current set, which is read then.
            unsafe {
                libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), set.as_mut_ptr());
                libc::sigismember(set.as_ptr(), signal) == 1
            }
        };
        std::thread::spawn(look).join().expect("it looks")
    }

    #[test]
    fn signals_are_left_to_others_by_threads_of_ours() {
        for signal in [libc::SIGTERM, libc::SIGUSR2, libc::SIGPIPE] {
            assert!(!is_left(signal));
            assert!(left_to_others(|| is_left(signal)));
            assert!(!is_left(signal));
        }
        assert!(!left_to_others(|| is_left(libc::SIGSEGV)));
    }

    #[test]
    fn purposes() {
        assert_eq!(purpose(libc::SIGUSR2), Purpose::Tell);
        assert_eq!(purpose(libc::SIGTERM), Purpose::End);
        assert_eq!(purpose(libc::SIGSEGV), Purpose::Other);
        assert_eq!(purpose(34), Purpose::Tell);
    }

    extern "C" fn handler(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {}

    #[test]
    fn a_handler_is_called_like_the_one_before() {
        let flags = |before: libc::c_int, is_handler: bool| {
            let mut disposition = match is_handler {
                true => Disposition::DEFAULT.with(handler),
                false => Disposition::DEFAULT,
            };
            disposition.0.sa_flags = before;
            let with = disposition.with(handler);
            assert!(with.is(handler));
            with.0.sa_flags
        };
        let ours = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        assert_eq!(flags(0, false), ours);
        assert_eq!(flags(libc::SA_NOCLDWAIT, false), ours | libc::SA_NOCLDWAIT);
        assert_eq!(flags(0, true), libc::SA_SIGINFO);
        assert_eq!(
            flags(libc::SA_RESETHAND | libc::SA_ONSTACK, true),
            libc::SA_SIGINFO | libc::SA_ONSTACK
        );
    }
}
