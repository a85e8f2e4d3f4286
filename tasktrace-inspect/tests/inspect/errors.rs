//! Programs that cannot be read: one clear sentence each.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tasktrace_inspect::{Error, Options, inspect_process};

use crate::program::{Profile, Program, path, target};

/// Compiles a program without tokio.
fn compile(name: &str, arguments: &[&str]) -> PathBuf {
    let directory = target().join("tmp");
    fs::create_dir_all(&directory).unwrap();
    let source = directory.join(format!("{name}.rs"));
    let text = "fn main() { println!(\"ready\"); loop { std::thread::park() } }";
    fs::write(&source, text).unwrap();
    let program = directory.join(name);
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let status = Command::new(rustc)
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .args(arguments)
        .status()
        .unwrap();
    assert!(status.success());
    program
}

fn error_of(name: &str, arguments: &[&str]) -> Error {
    let program = Program::run(&compile(name, arguments));
    inspect_process(program.pid(), &Options::default()).unwrap_err()
}

#[test]
fn a_stripped_program_is_said_to_be_stripped() {
    let error = error_of("stripped", &["-Cstrip=symbols"]);
    assert!(matches!(error, Error::Stripped { .. }), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("or build with `debug = 2` and `strip = false`")
    );
}

#[test]
fn a_program_without_debug_info_is_said_to_have_none() {
    let error = error_of("no-debug-info", &["-Cdebuginfo=0"]);
    assert!(matches!(error, Error::NoDebugInfo { .. }), "{error}");
}

#[test]
fn a_program_with_line_tables_is_said_to_have_no_types() {
    let error = error_of("lines-only", &["-Cdebuginfo=line-tables-only"]);
    assert!(matches!(error, Error::NoTypes { .. }), "{error}");
    assert!(error.to_string().contains("has line tables only"));
}

#[test]
fn a_process_that_has_ended_is_said_to_be_missing() {
    let program = Program::start("deadlock", Profile::Dev);
    let pid = program.pid();
    drop(program);
    let error = inspect_process(pid, &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("there is no process {pid}"));
}

#[test]
fn an_executable_of_another_build_is_refused() {
    let program = Program::start("deadlock", Profile::Dev);
    let mut options = Options::default();
    options.executable = Some(path("current", Profile::Dev));
    let error = inspect_process(program.pid(), &options).unwrap_err();
    assert!(
        matches!(error, Error::OtherBuild { .. } | Error::NotLoaded { .. }),
        "{error}"
    );
}

#[test]
fn debug_info_in_a_separate_file_is_read() {
    let original = path("deadlock", Profile::Dev);
    let (stripped, debug) = (target().join("tmp/split"), target().join("tmp/split.debug"));
    fs::create_dir_all(target().join("tmp")).unwrap();
    let objcopy = |arguments: &[&str], to: &PathBuf| {
        let status = Command::new("objcopy")
            .args(arguments)
            .arg(&original)
            .arg(to)
            .status();
        status.is_ok_and(|status| status.success())
    };
    if !objcopy(&["--only-keep-debug", "--compress-debug-sections"], &debug)
        || !objcopy(&["--strip-all"], &stripped)
    {
        // There are no binutils.
        return;
    }
    let program = Program::run(&stripped);
    let error = inspect_process(program.pid(), &Options::default()).unwrap_err();
    assert!(matches!(error, Error::Stripped { .. }), "{error}");
    let mut options = Options::default();
    options.debug_info = Some(debug);
    let report = inspect_process(program.pid(), &options).unwrap();
    crate::locks::check_deadlock(&report);
}
