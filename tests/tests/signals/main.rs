//! Dumps on signals, of programs of their own.
#![cfg(unix)]

#[cfg(target_os = "linux")]
mod privileged;

use std::ffi::c_int;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use libc::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

const TASKS: &str = env!("CARGO_BIN_EXE_signal_tasks");
const HANDLERS: &str = env!("CARGO_BIN_EXE_signal_handlers");
const START: &str = env!("CARGO_BIN_EXE_signal_start");

/// How long a program may run: a test that needs it has failed.
const LIMIT: Duration = Duration::from_secs(120);

/// A program that runs. It is ended when the test is.
struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    stderr: Option<BufReader<ChildStderr>>,
    /// When it is dropped, nobody ends the program for having run too long.
    _in_time: Sender<()>,
}

/// What is left when a program has ended.
struct Ended {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

impl Program {
    fn run(command: &mut Command) -> Self {
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
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut program = Self::run(Command::new(program).args(arguments));
        program.says("ready");
        program
    }

    /// Waits for a line on its standard output.
    #[track_caller]
    fn says(&mut self, expected: &str) {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it is text");
        assert_eq!(line.trim_end(), expected, "{:?}", self.child.try_wait());
    }

    /// Waits for a line on its standard error output.
    #[track_caller]
    fn tells(&mut self, part: &str) -> String {
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

    fn send(&self, signal: c_int) {
        send(self.child.id(), signal);
    }

    /// The first line of a dump.
    fn header(&self, signal: &str) -> String {
        format!("tasktrace: dump of process {} on {signal}", self.child.id())
    }

    /// Waits until it ends.
    fn ended(mut self) -> Ended {
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
    fn ends_well(mut self) -> Ended {
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

fn send(process: u32, signal: c_int) {
    let process = libc::pid_t::try_from(process).expect("it is a process");
    // SAFETY: it takes no pointer, and the process has not been waited for.
    assert_eq!(unsafe { libc::kill(process, signal) }, 0);
}

/// How many dumps on a signal there are.
fn dumps(stderr: &str, signal: &str) -> usize {
    let headers = stderr.lines().filter(|line| {
        line.starts_with("tasktrace: dump of process ") && line.ends_with(&format!(" on {signal}"))
    });
    headers.count()
}

/// A directory of its own for a test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let name = format!("tasktrace-signals-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("it can be created");
        Self(path)
    }

    /// The path of a file in it, as an argument.
    fn path(&self, name: &str) -> String {
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
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn all_workers_are_blocked() {
    let mut program = Program::start(TASKS, &["SIGUSR1", "blocked"]);
    program.send(SIGUSR1);
    let told = program.tells("╼ signal_tasks::blocks");
    let mut lines = told.lines();
    assert_eq!(lines.next(), Some(&*program.header("SIGUSR1")));
    assert_eq!(lines.next(), Some("2 tasks: 2 running"), "{told}");
    program.ends_well();
}

#[test]
fn nothing_is_written_until_it_is_asked_for() {
    let program = Program::start(TASKS, &["SIGUSR1", "SIGTERM", "waiting"]);
    assert_eq!(program.ends_well().stderr, "");
}

#[test]
fn a_program_without_tasks() {
    let mut program = Program::start(TASKS, &["SIGUSR1"]);
    program.send(SIGUSR1);
    program.tells("no traced tasks");
    program.ends_well();
}

#[test]
fn each_signal_has_its_options() {
    let directory = Directory::new("each");
    let file = directory.path("tasks.txt");
    let to_file = format!("SIGUSR2:{file}");
    let mut program = Program::start(TASKS, &["SIGUSR1", &to_file, "waiting"]);
    program.send(SIGUSR2);
    let told = program.tells("tasktrace");
    let header = program.header("SIGUSR2");
    assert_eq!(told, format!("{header} written to {file}\n"));
    let dump = read(&file);
    assert!(
        dump.starts_with(&format!("{header}\n1 task: 1 suspended\n")),
        "{dump}"
    );
    assert!(
        dump.contains("signal_tasks::waits") && dump.ends_with('\n'),
        "{dump}"
    );

    program.send(SIGUSR1);
    program.tells(&program.header("SIGUSR1"));
    program.tells("signal_tasks::waits");
    assert_eq!(read(&file), dump);
    program.ends_well();
}

#[test]
fn a_second_call_replaces_the_options() {
    let directory = Directory::new("second");
    let file = directory.path("tasks.txt");
    let to_file = format!("SIGUSR1:{file}");
    let mut program = Program::start(TASKS, &["SIGUSR1", &to_file, "SIGTERM"]);
    program.send(SIGUSR1);
    program.tells("written to");
    program.send(SIGTERM);
    let ended = program.ended();
    assert_eq!(
        ended.stderr.matches("SIGUSR1").count(),
        0,
        "{}",
        ended.stderr
    );
    read(&file);
}

#[test]
fn machines_read_json() {
    let directory = Directory::new("json");
    let file = directory.path("tasks.json");
    let to_file = format!("SIGUSR1:{file}");
    let mut program = Program::start(TASKS, &[&to_file, "waiting"]);
    program.send(SIGUSR1);
    program.tells("written to");
    let dump: serde_json::Value = serde_json::from_str(&read(&file)).expect("it is JSON");
    assert_eq!(dump["schema"], "tasktrace.dump/1");
    assert_eq!(dump["tasks"][0]["name"], "signal_tasks::waits");
    program.ends_well();
}

#[test]
fn files_are_for_their_owner_only() {
    let directory = Directory::new("owner");
    for mask in ["gives nothing", "gives everything"] {
        let file = directory.path(mask);
        let mut program = Program::start(TASKS, &[mask, &format!("SIGUSR1:{file}")]);
        program.send(SIGUSR1);
        program.tells("written to");
        let permissions = fs::metadata(&file).expect("it is there").permissions();
        assert_eq!(permissions.mode() & 0o7777, 0o600, "{mask}");
        program.ends_well();
    }
}

#[test]
fn links_are_not_followed() {
    let directory = Directory::new("links");
    let victim = directory.path("victim");
    fs::write(&victim, "precious").expect("it can be written");
    let file = directory.path("tasks.txt");
    symlink(&victim, &file).expect("it can be created");
    let mut program = Program::start(TASKS, &[&format!("SIGUSR1:{file}")]);
    program.send(SIGUSR1);
    program.tells("written to");
    assert_eq!(read(&victim), "precious");
    assert!(read(&file).contains("no traced tasks"));
    program.ends_well();
}

#[test]
fn a_file_that_cannot_be_written_is_told_of() {
    let directory = Directory::new("cannot");
    let file = directory.path("missing/tasks.txt");
    let mut program = Program::start(TASKS, &[&format!("SIGUSR1:{file}")]);
    program.send(SIGUSR1);
    let told = program.tells("tasktrace");
    let expected = format!(
        "{} cannot be written to {file}: ",
        program.header("SIGUSR1")
    );
    assert!(told.starts_with(&expected), "{told}");
    program.ends_well();
}

#[test]
fn a_program_that_is_ended_dumps_before() {
    for signal in [SIGTERM, SIGINT, libc::SIGHUP, libc::SIGALRM] {
        let number = signal.to_string();
        let mut program = Program::start(TASKS, &[&number, "waiting"]);
        program.send(signal);
        program.tells("tasktrace: dump of process");
        program.tells("signal_tasks::waits");
        assert_eq!(program.ended().status.signal(), Some(signal));
    }
}

/// However long its dump would take.
#[test]
fn the_second_signal_ends_it_at_once() {
    let in_an_hour = "SIGTERM::3600000";
    let mut program = Program::start(TASKS, &[in_an_hour, "SIGINT::3600000", "blocked"]);
    // As one, these may come as one signal.
    let mut signals = [SIGTERM, SIGINT].into_iter().cycle();
    while program.child.try_wait().expect("it is our child").is_none() {
        program.send(signals.next().expect("there is no end"));
        thread::sleep(Duration::from_millis(10));
    }
    let ended = program.ended();
    let signal = ended.status.signal();
    assert!(
        signal == Some(SIGTERM) || signal == Some(SIGINT),
        "{signal:?}"
    );
    assert_eq!(ended.stderr, "");
}

/// Whoever should read the dump does not.
#[test]
fn a_dump_that_cannot_be_written_delays_the_end_a_little() {
    let mut program = Program::start(TASKS, &["SIGUSR1", "SIGTERM::0", "stuck", "waiting"]);
    let begun = Instant::now();
    program.send(SIGUSR1);
    program.send(SIGTERM);
    let status = program.child.wait().expect("it is our child");
    assert_eq!(status.signal(), Some(SIGTERM));
    assert!(begun.elapsed() >= Duration::from_secs(5));
}

#[test]
fn nobody_reads() {
    for is_fatal in [false, true] {
        let mut arguments = vec!["SIGUSR1", "SIGTERM", "waiting"];
        arguments.extend(is_fatal.then_some("dies of SIGPIPE"));
        let mut program = Program::start(TASKS, &arguments);
        drop(program.stderr.take());
        program.send(SIGUSR1);
        program.send(SIGTERM);
        // Not of another signal, and not of a panic.
        assert_eq!(program.ended().status.signal(), Some(SIGTERM));
    }
}

#[test]
fn a_burst() {
    let budget = Duration::from_millis(200);
    let mut program = Program::start(TASKS, &["SIGUSR1::200", "SIGTERM::0", "blocked"]);
    let begun = Instant::now();
    for _ in 0..1000 {
        program.send(SIGUSR1);
    }
    // One after the other, and one that was asked for while the last was being taken.
    let most = begun.elapsed().as_millis() / budget.as_millis() + 2;
    let told = program.tells("tasktrace: dump of process");
    program.send(SIGTERM);
    let ended = program.ended();
    assert_eq!(ended.status.signal(), Some(SIGTERM));
    let dumps = dumps(&(told + &ended.stderr), "SIGUSR1");
    assert!((1..=most).contains(&(dumps as u128)), "{dumps} of {most}");
}

#[test]
fn the_handler_before_is_called() {
    let mut program = Program::start(HANDLERS, &["before"]);
    for (signal, name) in [
        (SIGUSR1, "SIGUSR1"),
        (SIGTERM, "SIGTERM"),
        (SIGUSR1, "SIGUSR1"),
    ] {
        program.send(signal);
        program.says("handled");
        program.tells(&program.header(name));
    }
    // Installed twice, it is called once; and what handles a signal has said that it goes on.
    let ended = program.ends_well();
    assert_eq!(ended.stdout, "bye\n");
    assert!(!ended.stderr.contains("tasktrace:"), "{}", ended.stderr);
}

#[test]
fn a_handler_for_one_signal_is_called_once() {
    let mut program = Program::start(HANDLERS, &["once"]);
    for count in 0..2 {
        program.send(SIGUSR1);
        if count == 0 {
            program.says("handled");
        }
        program.tells(&program.header("SIGUSR1"));
    }
    program.send(SIGTERM);
    program.says("handled");
    program.tells(&program.header("SIGTERM"));
    // Now it is as if there had never been a handler.
    program.send(SIGTERM);
    assert_eq!(program.ended().status.signal(), Some(SIGTERM));
}

#[test]
fn system_calls_are_interrupted_if_the_program_expects_it() {
    let mut program = Program::run(Command::new(HANDLERS).arg("interrupted"));
    // Its input has not ended.
    program.says("bye");
    assert_eq!(program.ended().status.code(), Some(0));
}

#[test]
fn handlers_are_not_seen_by_what_they_interrupt() {
    Program::run(Command::new(HANDLERS).arg("errno")).ends_well();
}

#[test]
fn a_handler_after_decides() {
    let mut program = Program::start(HANDLERS, &["after"]);
    for _ in 0..2 {
        program.send(SIGINT);
        program.says("interrupted");
    }
    let ended = program.ended();
    assert_eq!(ended.stdout, "bye\n");
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn what_is_ignored_stays_so() {
    let mut program = Program::run(Command::new(HANDLERS).arg("ignored"));
    program.says(
        "SIGHUP is ignored, which whoever started the program may want (as nohup does), and stays so: \
         use another, or have it handled first",
    );
    program.ends_well();
}

#[test]
fn children_by_fork() {
    let mut program = Program::run(Command::new(HANDLERS).arg("fork"));
    program.says(&format!("the child died of {SIGTERM}"));
    // The child has rung at nobody's bell.
    program.send(SIGUSR1);
    program.tells(&program.header("SIGUSR1"));
    let ended = program.ends_well();
    assert_eq!(dumps(&ended.stderr, "SIGUSR1"), 0, "{}", ended.stderr);
}

#[test]
fn signals_that_are_waited_for() {
    let program = Program::run(Command::new(HANDLERS).arg("waited for"));
    program.ends_well();
}

/// What the attributes and the environment ask for.
mod start {
    use super::*;

    const ON_SIGNAL: &str = "TASKTRACE_DUMP_ON_SIGNAL";
    const FILE: &str = "TASKTRACE_DUMP_FILE";

    /// A program with an attribute, or none.
    #[track_caller]
    fn start(attribute: Option<&str>, environment: &[(&str, &str)]) -> Program {
        let mut command = Command::new(START);
        command.args(attribute);
        command.env_remove(ON_SIGNAL).env_remove(FILE);
        command.envs(environment.iter().copied());
        let mut program = Program::run(&mut command);
        program.says("ready");
        program
    }

    #[track_caller]
    fn dumps_on(program: &mut Program, signal: c_int, name: &str) {
        program.send(signal);
        program.tells(&program.header(name));
        program.tells("no traced tasks");
    }

    /// The signal does what it does when nobody handles it.
    #[track_caller]
    fn dies_of(program: Program, signal: c_int) {
        program.send(signal);
        let ended = program.ended();
        assert_eq!(ended.status.signal(), Some(signal));
        assert_eq!(ended.stderr, "");
    }

    #[test]
    fn nothing() {
        dies_of(start(None, &[]), SIGUSR1);
        dies_of(start(None, &[(FILE, "tasks.txt")]), SIGUSR1);
        dies_of(start(None, &[(ON_SIGNAL, "")]), SIGUSR1);
    }

    #[test]
    fn attributes() {
        let mut program = start(Some(""), &[]);
        dumps_on(&mut program, SIGUSR1, "SIGUSR1");
        dies_of(program, SIGUSR2);

        let mut program = start(Some("SIGUSR2"), &[(ON_SIGNAL, "")]);
        dumps_on(&mut program, SIGUSR2, "SIGUSR2");
        dies_of(program, SIGUSR1);
    }

    #[test]
    fn the_environment() {
        for value in ["SIGUSR1", "usr1", "10", "1", "true"] {
            let mut program = start(None, &[(ON_SIGNAL, value)]);
            dumps_on(&mut program, SIGUSR1, "SIGUSR1");
            program.ends_well();
        }
        let mut program = start(None, &[(ON_SIGNAL, "SIGUSR1, usr2")]);
        dumps_on(&mut program, SIGUSR1, "SIGUSR1");
        dumps_on(&mut program, SIGUSR2, "SIGUSR2");
        program.ends_well();
    }

    #[test]
    fn the_environment_has_the_last_word() {
        for value in ["0", "none", "off"] {
            dies_of(start(Some(""), &[(ON_SIGNAL, value)]), SIGUSR1);
        }
        let mut program = start(Some("SIGUSR1"), &[(ON_SIGNAL, "SIGUSR2")]);
        dumps_on(&mut program, SIGUSR2, "SIGUSR2");
        dies_of(program, SIGUSR1);
    }

    #[test]
    fn a_file() {
        let directory = Directory::new("start");
        for (attribute, on_signal) in [(None, "1"), (Some(""), "")] {
            let file = directory.path("tasks.txt");
            let mut program = start(attribute, &[(ON_SIGNAL, on_signal), (FILE, &file)]);
            program.send(SIGUSR1);
            program.tells("written to");
            let dump = read(&file);
            assert!(dump.starts_with(&program.header("SIGUSR1")), "{dump}");
            program.ends_well();
            fs::remove_file(file).expect("it is there");
        }
    }

    /// One line each, which names the variable, and the rest goes on.
    #[test]
    fn wrong_values() {
        for (value, wrong) in [
            ("SIGUSR3", "`SIGUSR3`"),
            ("usr1,perhaps", "`perhaps`"),
            ("SIGKILL", "`SIGKILL`"),
        ] {
            let mut program = start(Some(""), &[(ON_SIGNAL, value)]);
            program.send(SIGUSR1);
            let told = program.tells(&program.header("SIGUSR1"));
            let line = told.lines().next().unwrap_or_default();
            let expected = format!("tasktrace: {ON_SIGNAL}: {wrong} is no signal");
            assert!(line.starts_with(&expected), "{told}");
            assert!(line.contains("SIGUSR2,SIGTERM"), "{told}");
            assert_eq!(told.lines().count(), 2, "{told}");
            program.ends_well();
        }

        let told = start(None, &[(ON_SIGNAL, "9")]).ends_well().stderr;
        let expected = format!("tasktrace: {ON_SIGNAL}: SIGKILL cannot be handled");
        assert!(told.starts_with(&expected), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");

        let told = start(Some("SIGUSR3"), &[]).ends_well().stderr;
        let expected = "tasktrace: dump_on_signal: `SIGUSR3` is no signal";
        assert!(told.starts_with(expected), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}
