//! Starts programs, sends signals to them, and reads their output.

use std::ffi::c_int;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use libc::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

pub(crate) const TASKS: &str = env!("CARGO_BIN_EXE_signal_tasks");
pub(crate) const HANDLERS: &str = env!("CARGO_BIN_EXE_signal_handlers");
pub(crate) const START: &str = env!("CARGO_BIN_EXE_signal_start");

/// The longest time that a program may run. A test that reaches it fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// A running program. Dropping it ends the program.
pub(crate) struct Program {
    pub(crate) child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    pub(crate) stderr: Option<BufReader<ChildStderr>>,
    /// Dropping this stops the thread that would end the program after [`LIMIT`].
    _in_time: Sender<()>,
}

/// The output and the exit status of a program that has ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn run(command: &mut Command) -> Self {
        // The parent of the tests may ignore signals, and the program would inherit that.
        let default = || {
            for signal in [
                SIGUSR1,
                SIGUSR2,
                SIGTERM,
                SIGINT,
                libc::SIGHUP,
                libc::SIGALRM,
            ] {
                // SAFETY: `SIG_DFL` is the default disposition and installs no function, so no handler can run.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            }
            Ok(())
        };
        // SAFETY: the closure only calls `signal`, which is async-signal-safe and therefore allowed between `fork` and
        // `exec`.
        let command = unsafe { command.pre_exec(default) };
        let piped = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the program is built with the tests");
        let (in_time, is_in_time) = mpsc::channel::<()>();
        let process = child.id();
        thread::spawn(move || {
            if is_in_time.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
                send(process, libc::SIGKILL);
            }
        });
        Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().expect("it is piped")),
            stderr: child.stderr.take().map(BufReader::new),
            child,
            _in_time: in_time,
        }
    }

    /// Starts a program, and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Self {
        let mut program = Self::run(Command::new(program).args(arguments));
        program.says("ready");
        program
    }

    /// Waits for the line `expected` on the program's standard output.
    #[track_caller]
    pub(crate) fn says(&mut self, expected: &str) {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it is text");
        assert_eq!(line.trim_end(), expected, "{:?}", self.child.try_wait());
    }

    /// Reads the program's standard error until a line contains `part`, and returns the text read.
    #[track_caller]
    pub(crate) fn tells(&mut self, part: &str) -> String {
        let stderr = self.stderr.as_mut().expect("it is open");
        let mut lines = String::new();
        loop {
            let from = lines.len();
            let read = stderr.read_line(&mut lines).expect("it is text");
            assert_ne!(read, 0, "it never told of {part}:\n{lines}");
            if lines[from..].contains(part) {
                return lines;
            }
        }
    }

    pub(crate) fn send(&self, signal: c_int) {
        send(self.child.id(), signal);
    }

    /// Returns the first line of a dump of this program on `signal`.
    pub(crate) fn header(&self, signal: &str) -> String {
        format!("tasktrace: dump of process {} on {signal}", self.child.id())
    }

    /// Waits until the program ends.
    pub(crate) fn ended(mut self) -> Ended {
        let status = self.child.wait().expect("it is our child");
        let mut stdout = String::new();
        self.stdout.read_to_string(&mut stdout).expect("it is text");
        let mut stderr = String::new();
        if let Some(mut rest) = self.stderr.take() {
            rest.read_to_string(&mut stderr).expect("it is text");
        }
        Ended {
            status,
            stdout,
            stderr,
        }
    }

    /// Closes the program's input, and asserts that the program ends by itself and without an error.
    #[track_caller]
    pub(crate) fn ends_well(mut self) -> Ended {
        drop(self.stdin.take());
        let ended = self.ended();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert!(ended.stdout.ends_with("bye\n"), "{}", ended.stdout);
        ended
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn send(process: u32, signal: c_int) {
    let process = libc::pid_t::try_from(process).expect("it is a process");
    // SAFETY: `kill` takes no pointer. The process has not been waited for, so its number names no other process.
    assert_eq!(unsafe { libc::kill(process, signal) }, 0);
}

/// Returns the number of dumps on `signal` in `stderr`.
pub(crate) fn dumps(stderr: &str, signal: &str) -> usize {
    let headers = stderr.lines().filter(|line| {
        line.starts_with("tasktrace: dump of process ") && line.ends_with(&format!(" on {signal}"))
    });
    headers.count()
}

/// A temporary directory of one test, removed on drop.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("tasktrace-signals-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("it can be created");
        Self(path)
    }

    /// Returns the path of a file in the directory, as an argument.
    pub(crate) fn path(&self, name: &str) -> String {
        let path = self.0.join(name);
        path.to_str().expect("it is text").to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
