//! Core files.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tasktrace_inspect::{Error, Options, SourceKind, inspect_core, is_core_file};

use crate::core_file;
use crate::leaves::check_leaves;
use crate::locks::{check_deadlock, check_locks};
use crate::program::{PROFILES, Profile, Program, target};
use crate::wrappers::check_wrappers;

fn write(name: &str, bytes: &[u8]) -> PathBuf {
    let directory = target().join("tmp");
    fs::create_dir_all(&directory).unwrap();
    let path = directory.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_core_file_shows_the_same_as_the_process() {
    for profile in PROFILES {
        let program = Program::start("current", profile);
        let live = program.inspect_at_rest();
        let path = write(
            &format!("core.{}", program.pid()),
            &core_file::of(program.pid()),
        );
        drop(program);
        assert!(is_core_file(&path));
        let report = inspect_core(&path, &Options::default()).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(report.source.kind, SourceKind::Core);
        check_leaves(&report);
        check_wrappers(&report);
        check_locks(&report);
        let named = |report: &tasktrace_inspect::Report| -> Vec<_> {
            let tasks = report.tasks.iter();
            let tasks = tasks.filter(|task| task.id.is_some());
            tasks.map(|task| (task.id, task.name.clone())).collect()
        };
        assert_eq!(named(&report), named(&live));
    }
}

#[test]
fn a_core_file_of_gcore_shows_a_deadlock() {
    if Command::new("gcore").arg("--help").output().is_err() {
        return;
    }
    let program = Program::start("deadlock", Profile::Dev);
    program.inspect_at_rest();
    let prefix = write("gcore", &[]);
    let output = Command::new("gcore")
        .arg("-o")
        .arg(&prefix)
        .arg(program.pid().to_string())
        .output()
        .unwrap();
    let path = prefix.with_file_name(format!("gcore.{}", program.pid()));
    drop(program);
    if !output.status.success() {
        // Containers may forbid ptrace.
        return;
    }
    let report = inspect_core(&path, &Options::default()).unwrap();
    fs::remove_file(&path).unwrap();
    check_deadlock(&report);
}

#[test]
fn a_file_that_is_no_core_file_is_said_to_be_none() {
    for bytes in [
        &b""[..],
        b"\x7fELF",
        b"text that is long enough to be the header of an ELF file, but is none at all",
    ] {
        let path = write(&format!("no-core-{}", bytes.len()), bytes);
        let error = inspect_core(&path, &Options::default()).unwrap_err();
        assert!(
            matches!(error, Error::Elf { .. } | Error::Open { .. }),
            "{error}"
        );
        assert!(!is_core_file(&path));
        fs::remove_file(&path).unwrap();
    }
}
