//! Dumps the tasks on a signal.
//!
//! * [`listener`]: the thread that waits for signals, through [`os::self_pipe`](crate::os::self_pipe).
//! * [`report`]: writes the dump.
//! * [`mod@start`]: starts the dumps that the attributes and the environment request.
//! * [`error`]: the reasons why a signal cannot be used.

mod error;
mod listener;
mod report;
mod start;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

pub use error::DumpOnSignalError;
pub(crate) use start::{start, start_for_tests};

use crate::os::{self_pipe, signal};
use crate::sync::LockedMap;

/// The default budget for the answers of the tasks.
const BUDGET: Duration = Duration::from_secs(2);

/// The options of each signal.
static OPTIONS: LockedMap<i32, Arc<DumpOnSignal>> = LockedMap::new();

/// The process in which a thread is changing signal handlers, or 0.
static CHANGING_PROCESS: AtomicU32 = AtomicU32::new(0);

/// The right to change signal handlers, which one thread holds at a time. It is not a lock, because its holder calls
/// the system and starts a thread. A child of `fork` ignores a holder in its parent.
struct ChangePermit;

impl ChangePermit {
    fn wait() -> Self {
        let own = crate::os::process_id();
        loop {
            let of = CHANGING_PROCESS.load(Ordering::Relaxed);
            let take =
                || CHANGING_PROCESS.compare_exchange(of, own, Ordering::Acquire, Ordering::Relaxed);
            if of != own && take().is_ok() {
                return Self;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for ChangePermit {
    fn drop(&mut self) {
        CHANGING_PROCESS.store(0, Ordering::Release);
    }
}

/// Dumps all tasks whenever the process receives a signal, for example by `kill` from a shell.
///
/// ```
/// # #[cfg(unix)]
/// # fn main() -> Result<(), tasktrace::DumpOnSignalError> {
/// // On SIGUSR1, to the standard error output.
/// tasktrace::dump_on_signal(())?;
/// # Ok(())
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
///
/// ```text
/// $ kill -USR1 4711
///
/// tasktrace: dump of process 4711 on SIGUSR1
/// 2 tasks: 2 suspended
/// …
/// ```
///
/// The argument is `()`, the number of a signal such as `libc::SIGUSR2`, or a [`DumpOnSignal`] with more options.
/// Several signals can be used, each with its own options. Another call for the same signal replaces its options.
///
/// A separate thread takes the dump with [`dump_blocking`](crate::dump_blocking). So it works even if all threads of
/// the executor are blocked or have ended. Until a signal arrives, that thread sleeps. If any number of signals arrives
/// while a dump is being taken, one more dump is taken after it.
///
/// # Effect on the signal
///
/// * A handler that was installed before is called as well. A handler that is installed later must call that of
///   tasktrace, as those of `tokio::signal` do, or there is no dump.
/// * `SIGTERM`, `SIGINT`, `SIGQUIT`, `SIGHUP`, `SIGALRM`, `SIGVTALRM`, `SIGPROF`, `SIGXCPU` and `SIGPWR` still end a
///   program that does not handle them, with the same exit status, after the dump is written. If the output blocks,
///   they end it five seconds after the budget. A second such signal ends it at once.
/// * Other signals, such as `SIGUSR1`, no longer end the program. **They do end it before this function is called, and
///   after `exec`**: a signal that is pending while the program replaces itself ends the new program. `SIGURG` and
///   `SIGWINCH` are exceptions, because processes ignore them by default.
/// * A signal that the process ignores, such as `SIGHUP` under `nohup`, stays ignored, and the call is an error.
/// * A child of `fork` does not dump until it calls this function as well.
///
/// # Environment variables
///
/// A program with [`#[tasktrace::main]`](macro@crate::main) does not need this call. The environment variable
/// `TASKTRACE_DUMP_ON_SIGNAL` is the name or the number of a signal, or a comma-separated list of signals. `1` stands
/// for `SIGUSR1`, and `0` for none, which overrides the attribute. `TASKTRACE_DUMP_FILE` is the file to write to.
/// Programs that the process starts inherit the variables. If such a program has no `#[tasktrace::main]`, the signal
/// has its default effect: `SIGUSR1` ends the program. A program with more rights than the user who started it, such as
/// a set-user-id program, ignores both variables.
///
/// # Errors
///
/// Returns an error if the signal cannot be used. [`DumpOnSignalError`] says why, and what to do. The program can
/// continue without dumps:
///
/// ```
/// use tasktrace::DumpOnSignal;
///
/// let options = DumpOnSignal::new().signal(15).to_file("/var/tmp/app-tasks.txt");
/// if let Err(error) = tasktrace::dump_on_signal(options) {
///     eprintln!("tasks are not dumped: {error}");
/// }
/// ```
pub fn dump_on_signal(options: impl Into<DumpOnSignal>) -> Result<(), DumpOnSignalError> {
    let mut options: DumpOnSignal = options.into();
    if let Output::File(path) = &mut options.output
        && let Ok(absolute) = std::path::absolute(&path)
    {
        // The program may change its current directory.
        *path = absolute;
    }
    let signal = options.signal;
    let refuse = |why| DumpOnSignalError::new(signal, why);

    let _permit = ChangePermit::wait();
    // Checked before a thread is started for it.
    self_pipe::check(signal).map_err(refuse)?;
    listener::start().map_err(DumpOnSignalError::Refused)?;
    let before = OPTIONS.replace(signal, Arc::new(options));
    self_pipe::register(signal).map_err(|why| {
        match before {
            Some(before) => drop(OPTIONS.replace(signal, before)),
            None => drop(OPTIONS.remove(&signal)),
        }
        refuse(why)
    })
}

/// The options of [`dump_on_signal`]: the signal, the output and the budget.
///
/// ```
/// use std::time::Duration;
/// use tasktrace::DumpOnSignal;
///
/// let to_file = DumpOnSignal::new().to_file("tasks.json").budget(Duration::from_secs(1));
/// # #[cfg(unix)]
/// # {
/// let by_name: DumpOnSignal = "SIGUSR2".parse()?;
/// # let _ = by_name;
/// # }
/// # drop(to_file);
/// # Ok::<(), tasktrace::DumpOnSignalError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "pass it to `dump_on_signal`"]
pub struct DumpOnSignal {
    signal: i32,
    output: Output,
    budget: Duration,
}

#[derive(Clone, Debug)]
enum Output {
    Stderr,
    File(PathBuf),
}

impl DumpOnSignal {
    /// Returns options for `SIGUSR1`, standard error, and a budget of two seconds.
    ///
    /// `SIGUSR1` ends a program that has not installed the handler: see [`dump_on_signal`].
    pub fn new() -> Self {
        Self {
            signal: signal::DEFAULT,
            output: Output::Stderr,
            budget: BUDGET,
        }
    }

    /// Sets the signal, such as `libc::SIGUSR2`.
    ///
    /// Most signals end a program in which the handler is not installed, such as before the call and after `exec`.
    /// Processes ignore `SIGURG` and `SIGWINCH` by default. See [`dump_on_signal`].
    ///
    /// ```
    /// # use tasktrace::DumpOnSignal;
    /// let on_sigterm = DumpOnSignal::new().signal(15);
    /// # drop(on_sigterm);
    /// ```
    pub fn signal(self, signal: i32) -> Self {
        Self { signal, ..self }
    }

    /// Writes dumps to a file. Each dump replaces the file, and prints a line on standard error.
    ///
    /// The dump is [JSON](crate::Dump::json) if the name of the file ends with `.json`, and text otherwise. Only the
    /// owner can read the file. A reader sees either the old dump or the new one, but never a part. A symbolic link of
    /// that name is replaced, not followed. If the path is a directory, a terminal or another special file, it is left
    /// alone, and no dump is written. A relative path is relative to the current directory at the call of
    /// [`dump_on_signal`].
    ///
    /// ```
    /// # use tasktrace::DumpOnSignal;
    /// let for_machines = DumpOnSignal::new().to_file("/run/app/tasks.json");
    /// # drop(for_machines);
    /// ```
    pub fn to_file(self, path: impl Into<PathBuf>) -> Self {
        let output = Output::File(path.into());
        Self { output, ..self }
    }

    /// Writes dumps to standard error, each in one piece. This is the default.
    ///
    /// ```
    /// # use tasktrace::DumpOnSignal;
    /// let default = DumpOnSignal::new().to_stderr();
    /// # drop(default);
    /// ```
    pub fn to_stderr(self) -> Self {
        let output = Output::Stderr;
        Self { output, ..self }
    }

    /// Sets the time to wait for the answers of the tasks. The default is two seconds. Tasks that have not answered by
    /// then are shown as in a [`snapshot`](crate::snapshot()).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tasktrace::DumpOnSignal;
    /// let quick = DumpOnSignal::new().budget(Duration::from_millis(200));
    /// # drop(quick);
    /// ```
    pub fn budget(self, budget: Duration) -> Self {
        Self { budget, ..self }
    }
}

impl Default for DumpOnSignal {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the default options.
impl From<()> for DumpOnSignal {
    fn from((): ()) -> Self {
        Self::new()
    }
}

/// Returns the default options for the signal with this number.
impl From<i32> for DumpOnSignal {
    fn from(signal: i32) -> Self {
        Self::new().signal(signal)
    }
}

/// Returns the default options for the signal with this name, such as `SIGUSR2` or `usr2`, or with this number.
impl FromStr for DumpOnSignal {
    type Err = DumpOnSignalError;

    fn from_str(name: &str) -> Result<Self, DumpOnSignalError> {
        let unknown = || DumpOnSignalError::UnknownSignal {
            name: name.to_owned(),
        };
        signal::number(name).map(Self::from).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests;
