//! Dumps that are asked for with a signal.
//!
//! * [`listener`]: the thread that is told of signals, by [`os::relay`](crate::os::relay).
//! * [`report`]: what is written, and where to.
//! * [`mod@start`]: what the attributes and the environment ask for.
//! * [`error`]: why a signal cannot be used.

mod error;
mod listener;
mod report;
mod start;

use std::path::PathBuf;
use std::process;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

pub use error::DumpOnSignalError;
pub(crate) use start::{in_tests, start};

use crate::os::{relay, signal};
use crate::sync::Map;

/// How long the tasks are waited for, if nothing else is said.
const BUDGET: Duration = Duration::from_secs(2);

/// What is to be done on which signal.
static ASKED: Map<i32, Arc<DumpOnSignal>> = Map::new();

/// The process in which a thread changes the handlers of signals. 0 if none does.
static CHANGES: AtomicU32 = AtomicU32::new(0);

/// The right to change what is done on signals, which one thread has at a time. It is no lock of ours: who has it
/// calls the system, and starts a thread. A child of `fork` takes no heed of who had it in its parent.
struct Turn;

impl Turn {
    fn wait() -> Self {
        let own = process::id();
        loop {
            let of = CHANGES.load(Ordering::Relaxed);
            let take = || CHANGES.compare_exchange(of, own, Ordering::Acquire, Ordering::Relaxed);
            if of != own && take().is_ok() {
                return Self;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        CHANGES.store(0, Ordering::Release);
    }
}

/// Has the program dump its tasks when it gets a signal: then it can be asked with `kill`, from any
/// shell.
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
/// It takes nothing, or the number of a signal, such as `libc::SIGUSR2`, or a [`DumpOnSignal`] that
/// says more. Several signals can be used, each with its own options. Another call for the same
/// signal replaces its options.
///
/// The dump is that of [`dump_blocking`](crate::dump_blocking), taken by a thread of its own: so it
/// works when all threads of the executor are blocked, or gone. Until there is a signal, that thread
/// sleeps. If signals come while a dump is being taken, one more is taken after it, however many
/// they are.
///
/// # What becomes of the signal
///
/// * A handler that was there before is called as well. One that comes later must call ours in turn,
///   as those of `tokio::signal` do, or there is no dump.
/// * `SIGTERM`, `SIGINT`, `SIGQUIT`, `SIGHUP`, `SIGALRM`, `SIGVTALRM`, `SIGPROF`, `SIGXCPU` and
///   `SIGPWR` still end a program that does not handle them, with the same exit status, when the dump
///   is written. If nobody reads it, that is five seconds after the budget. A second such signal does
///   not wait.
/// * Other signals, such as `SIGUSR1`, do not end the program any more. **They end it before this was called, and after
///   `exec`**, unless their default is to be ignored, as that of `SIGURG` and `SIGWINCH` is: one that is on its way
///   while the program replaces itself ends the new program.
/// * A signal that is ignored, such as `SIGHUP` below `nohup`, stays so, and it is an error.
/// * A child of `fork` that is no other program dumps nothing, until it calls this as well.
///
/// # From outside
///
/// A program whose `main` is a [`#[tasktrace::main]`](macro@crate::main) need not call it: it is
/// asked for with the environment variable `TASKTRACE_DUMP_ON_SIGNAL`. That is the name or the number
/// of a signal, or several, with commas between them; `1` stands for `SIGUSR1`, and `0` for none,
/// whatever the attribute says. Programs that it starts inherit the variable, and if they have no such `main` the signal
/// does with them what it does by default: `SIGUSR1` ends them. `TASKTRACE_DUMP_FILE` is the file to write to. Neither has any effect on a
/// program with more rights than the user who started it, such as one that is set-user-id.
///
/// # Errors
///
/// If the signal cannot be used. [`DumpOnSignalError`] says why, and what to do. The program need
/// not end for that:
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
        // The program may go to another directory.
        *path = absolute;
    }
    let signal = options.signal;
    let refuse = |why| DumpOnSignalError::new(signal, why);

    let _turn = Turn::wait();
    // Before there is a thread for it.
    relay::check(signal).map_err(refuse)?;
    listener::start().map_err(DumpOnSignalError::Refused)?;
    let before = ASKED.replace(signal, Arc::new(options));
    relay::hear(signal).map_err(|why| {
        match before {
            Some(before) => drop(ASKED.replace(signal, before)),
            None => drop(ASKED.remove(&signal)),
        }
        refuse(why)
    })
}

/// On which signal [`dump_on_signal`] dumps the tasks, and where to.
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
    /// `SIGUSR1`, to the standard error output, with a budget of two seconds. Where no handler is installed, `SIGUSR1`
    /// ends a program: see [`dump_on_signal`].
    pub fn new() -> Self {
        Self {
            signal: signal::DEFAULT,
            output: Output::Stderr,
            budget: BUDGET,
        }
    }

    /// On this signal, such as `libc::SIGUSR2`.
    ///
    /// The default action of most signals ends a program, which counts where the handler is not installed yet, and after
    /// `exec`. That of `SIGURG` and `SIGWINCH` ignores them. See [`dump_on_signal`].
    ///
    /// ```
    /// # use tasktrace::DumpOnSignal;
    /// let on_sigterm = DumpOnSignal::new().signal(15);
    /// # drop(on_sigterm);
    /// ```
    pub fn signal(self, signal: i32) -> Self {
        Self { signal, ..self }
    }

    /// To a file, which each dump writes anew, and of which a line on the standard error output
    /// tells. If its name ends with `.json`, as [JSON](crate::Dump::json), else as text.
    ///
    /// The file can be read by its owner only, and whoever reads it sees the old dump or the new,
    /// but no half of one. A symbolic link of that name is replaced, not followed. A directory, a
    /// terminal or anything else that is no file is left alone, and then there is no dump. A relative
    /// path is seen from the current directory of the call of [`dump_on_signal`].
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

    /// To the standard error output, in one piece.
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

    /// How long the tasks are waited for. Those that have not answered are shown as in a
    /// [`snapshot`](crate::snapshot()).
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

/// The default.
impl From<()> for DumpOnSignal {
    fn from((): ()) -> Self {
        Self::new()
    }
}

/// On the signal of this number.
impl From<i32> for DumpOnSignal {
    fn from(signal: i32) -> Self {
        Self::new().signal(signal)
    }
}

/// On the signal of this name, such as `SIGUSR2` or `usr2`, or of this number.
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
