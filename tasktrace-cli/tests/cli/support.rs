//! Runs `tasktrace`, and the programs that it attaches to.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

/// The program `tasktrace`, built with the tests.
pub(crate) const CLI: &str = env!("CARGO_BIN_EXE_tasktrace");

/// Returns the path of an example of this package. Cargo builds the examples with the tests.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test is running");
    let target = test.parent().and_then(Path::parent).expect("target/debug");
    let program = target.join("examples").join(name);
    assert!(
        program.exists(),
        "run `cargo build -p tasktrace-cli --examples` first"
    );
    program
}

/// The longest time that a program may run. A test that reaches it fails.
const LIMIT: Duration = Duration::from_secs(120);

/// A directory of one test, in which the processes of the test have their sockets.
///
/// Its name is short, because the path of a socket may not be long.
pub(crate) struct Runtime(PathBuf);

impl Runtime {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tt-{}-{count}", std::process::id()));
        fs::create_dir(&path).expect("it can be created");
        chmod(&path, 0o700);
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the directory of the sockets.
    pub(crate) fn place(&self) -> PathBuf {
        self.0.join("tasktrace")
    }

    /// Returns a copy of the program `tasktrace`, which other users may start.
    pub(crate) fn copy_of_cli(&self) -> PathBuf {
        let copy = self.0.join("cli");
        // A process of its own copies it. A test that starts a program at this moment would inherit the open file, and
        // a file that is open for writing cannot be started.
        let copied = Command::new("cp").arg(CLI).arg(&copy).status();
        assert!(copied.is_ok_and(|status| status.success()));
        copy
    }

    fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for variable in [
            "NO_COLOR",
            "TASKTRACE_ADDR",
            "TASKTRACE_TOKEN",
            "TASKTRACE_ATTACH",
        ] {
            command.env_remove(variable);
        }
        command
            .env("XDG_RUNTIME_DIR", &self.0)
            .env("TMPDIR", &self.0)
    }

    /// Starts the example `attached`, which does what `words` say.
    #[track_caller]
    pub(crate) fn start(&self, words: &[&str]) -> Program {
        self.start_with(words, |_| {})
    }

    #[track_caller]
    pub(crate) fn start_with(&self, words: &[&str], change: impl FnOnce(&mut Command)) -> Program {
        let mut command = Command::new(example("attached"));
        change(self.environment(&mut command).args(words));
        Program::start(&mut command)
    }

    /// Starts another program.
    #[track_caller]
    pub(crate) fn start_other(&self, program: &Path) -> Program {
        let mut command = Command::new(program);
        Program::start(self.environment(&mut command))
    }

    /// Returns a command that runs `tasktrace` with `arguments`.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(CLI);
        self.environment(&mut command)
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Runs `tasktrace` to its end.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output(), arguments)
    }

    /// Runs `tasktrace`, asserts that it succeeds, and returns its output.
    #[track_caller]
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        self.run(arguments).succeeded()
    }

    #[track_caller]
    pub(crate) fn ask_json(&self, arguments: &[&str]) -> serde_json::Value {
        let text = self.ask(arguments);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        chmod(&self.0, 0o700);
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

pub(crate) fn is_root() -> bool {
    // SAFETY: `geteuid` has no arguments, reads no memory of this process, and always succeeds.
    unsafe { libc::geteuid() == 0 }
}

/// The output and the exit code of `tasktrace`.
pub(crate) struct Ended {
    arguments: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn of(output: std::io::Result<Output>, arguments: &[&str]) -> Self {
        let output = output.expect("the program is built with the tests");
        Self {
            arguments: arguments.join(" "),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("it is text"),
            stderr: String::from_utf8(output.stderr).expect("it is text"),
        }
    }

    #[track_caller]
    pub(crate) fn succeeded(self) -> String {
        assert_eq!(
            (self.code, &*self.stderr),
            (Some(0), ""),
            "{}",
            self.arguments
        );
        self.stdout
    }

    /// Asserts that the program ended with `code`, and that its error message contains `parts`.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}: {}", self.arguments, self.stderr);
        assert_eq!(self.stdout, "", "{}", self.arguments);
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?}: {}", self.stderr);
        }
    }
}

/// A running program. Dropping it ends the program.
pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// The lines that the program printed before `ready`.
    pub(crate) said: Vec<String>,
    /// Dropping this stops the thread that would end the program after [`LIMIT`].
    _in_time: Sender<()>,
}

impl Program {
    #[track_caller]
    fn start(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().expect("the program is built with the tests");
        let (in_time, is_in_time) = mpsc::channel::<()>();
        let process = child.id();
        thread::spawn(move || {
            if is_in_time.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
                send(process, libc::SIGKILL);
            }
        });
        let mut program = Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().expect("it is piped")),
            child,
            said: Vec::new(),
            _in_time: in_time,
        };
        loop {
            let mut line = String::new();
            program.stdout.read_line(&mut line).expect("it is text");
            match line.trim_end() {
                "ready" => return program,
                "" => panic!("it has ended: {:?}", program.said),
                said => program.said.push(said.to_owned()),
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the number of the process, as an argument.
    pub(crate) fn pid(&self) -> String {
        self.id().to_string()
    }

    pub(crate) fn send(&self, signal: i32) {
        send(self.id(), signal);
    }

    /// Kills the program, and waits for its end.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        self.child.wait().expect("it is our child");
    }

    /// Closes the program's input, and asserts that the program ends by itself and without an error.
    #[track_caller]
    pub(crate) fn ends_well(mut self) {
        drop(self.stdin.take());
        let status = self.child.wait().expect("it is our child");
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("it is text");
        assert_eq!(status.code(), Some(0), "{rest}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(process: u32, signal: i32) {
    let process = libc::pid_t::try_from(process).expect("it is a process");
    // SAFETY: `kill` takes no pointer. The process has not been waited for, so its number names no other process.
    assert_eq!(unsafe { libc::kill(process, signal) }, 0);
}
