//! Programs that tests start, send signals to and read the output of.

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

/// How long a program may run: a test that needs it has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// A program that runs. It is ended when the test is.
pub(crate) struct Program {
    pub(crate) child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    pub(crate) stderr: Option<BufReader<ChildStderr>>,
    /// When it is dropped, nobody ends the program for having run too long.
    _in_time: Sender<()>,
}

/// What is left when a program has ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn run(command: &mut Command) -> Self {
        // Whoever runs the tests may ignore signals, and so would the program.
        let default = || {
            for signal in [
                SIGUSR1,
                SIGUSR2,
                SIGTERM,
                SIGINT,
                libc::SIGHUP,
                libc::SIGALRM,
            ] {
                // SAFETY: it is the default, and no function.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            }
            Ok(())
        };
        // SAFETY: that may be done between `fork` and `exec`.
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

    /// Waits for a line on its standard output.
    #[track_caller]
    pub(crate) fn says(&mut self, expected: &str) {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it is text");
        assert_eq!(line.trim_end(), expected, "{:?}", self.child.try_wait());
    }

    /// Waits for a line on its standard error output.
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

    /// The first line of a dump.
    pub(crate) fn header(&self, signal: &str) -> String {
        format!("tasktrace: dump of process {} on {signal}", self.child.id())
    }

    /// Waits until it ends.
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

    /// Has it end by itself: so it is alive and well.
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
    // SAFETY: it takes no pointer, and the process has not been waited for.
    assert_eq!(unsafe { libc::kill(process, signal) }, 0);
}

/// How many dumps on a signal there are.
pub(crate) fn dumps(stderr: &str, signal: &str) -> usize {
    let headers = stderr.lines().filter(|line| {
        line.starts_with("tasktrace: dump of process ") && line.ends_with(&format!(" on {signal}"))
    });
    headers.count()
}

/// A directory of its own for a test.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("tasktrace-signals-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("it can be created");
        Self(path)
    }

    /// The path of a file in it, as an argument.
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
