//! Builds and runs the programs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use tasktrace_inspect::{Options, Report, TaskState, inspect_process};

/// The profile with which the programs are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

pub(crate) const PROFILES: [Profile; 2] = [Profile::Dev, Profile::Release];

/// The programs with all tasks, on one thread and on several.
pub(crate) const ALL_TASKS: [&str; 2] = ["current", "multi"];

/// Returns the directory that cargo builds into.
pub(crate) fn target() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let deps = test.parent().unwrap();
    deps.parent().unwrap().parent().unwrap().to_owned()
}

/// A directory with `debug` and `release`, in which the programs were built with another version of tokio.
const BUILT: &str = "TASKTRACE_INSPECT_PROGRAMS";

/// Returns the path of a program, which is built before.
pub(crate) fn path(name: &str, profile: Profile) -> PathBuf {
    if let Some(built) = std::env::var_os(BUILT) {
        let directory = match profile {
            Profile::Dev => "debug",
            Profile::Release => "release",
        };
        return Path::new(&built).join(directory).join(name);
    }
    static DEV: Once = Once::new();
    static RELEASE: Once = Once::new();
    let (once, arguments, directory): (_, &[&str], _) = match profile {
        Profile::Dev => (&DEV, &[], "debug"),
        Profile::Release => (&RELEASE, &["--release"], "release"),
    };
    once.call_once(|| {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "-p", "tasktrace-inspect-programs"])
            .args(arguments)
            .arg("--target-dir")
            .arg(target())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(status.success(), "the programs cannot be built");
    });
    target().join(directory).join(name)
}

/// Compiles a program that needs no crate, into a directory.
pub(crate) fn compile(directory: &Path, name: &str, source: &str, arguments: &[&str]) -> PathBuf {
    fs::create_dir_all(directory).unwrap();
    let path = directory.join(format!("{name}.rs"));
    fs::write(&path, source).unwrap();
    let program = directory.join(name);
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let status = Command::new(rustc)
        .args(["--edition=2024", "-o"])
        .arg(&program)
        .args(arguments)
        .arg(&path)
        .status()
        .unwrap();
    assert!(status.success(), "{name} cannot be compiled");
    program
}

/// A program whose tasks have come to where they wait. It is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
}

impl Program {
    pub(crate) fn start(name: &str, profile: Profile) -> Self {
        Self::run(&path(name, profile))
    }

    pub(crate) fn run(path: &Path) -> Self {
        let mut child = Command::new(path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        let program = Self { child };
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        program
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reads the tasks.
    pub(crate) fn inspect(&self) -> Report {
        inspect_process(self.pid(), &Options::default()).unwrap()
    }

    /// Reads the tasks until none of them runs: the last to arrive may be in the middle of the poll in which it begins to
    /// wait.
    pub(crate) fn inspect_at_rest(&self) -> Report {
        self.inspect_until(|report| {
            let mut tasks = report.tasks.iter();
            tasks.all(|task| matches!(task.state, TaskState::Suspended | TaskState::BlockOn))
        })
    }

    /// Reads the tasks until they are as expected, for a minute at most.
    pub(crate) fn inspect_until(&self, is_expected: impl Fn(&Report) -> bool) -> Report {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let report = self.inspect();
            if is_expected(&report) || Instant::now() > end {
                return report;
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
