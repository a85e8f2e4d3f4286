//! Programs that cannot be read: one clear sentence each.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use tasktrace_inspect::{Error, Options, inspect_core, inspect_process};

use crate::core_file;
use crate::program::{self, Profile, Program, path, target};

/// Compiles a program without tokio.
fn compile(name: &str, arguments: &[&str]) -> PathBuf {
    let source = "fn main() { println!(\"ready\"); loop { std::thread::park() } }";
    program::compile(&target().join("tmp"), name, source, arguments)
}

/// Compiles a program in C.
fn compile_c(name: &str, arguments: &[&str]) -> PathBuf {
    let directory = target().join("tmp");
    fs::create_dir_all(&directory).unwrap();
    let source = directory.join(format!("{name}.c"));
    let text = "#include <stdio.h>\n#include <unistd.h>\n\
                int main(void) { puts(\"ready\"); fflush(stdout); for (;;) pause(); }\n";
    fs::write(&source, text).unwrap();
    let program = directory.join(name);
    let status = Command::new("cc")
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
    options.debug_info = Some(debug.clone());
    let report = inspect_process(program.pid(), &options).unwrap();
    crate::locks::check_deadlock(&report);
    drop(program);

    // A link in the executable names the file, which is looked for beside it.
    let linked = target().join("tmp/linked");
    let link = format!("--add-gnu-debuglink={}", debug.display());
    assert!(objcopy(&["--strip-all", &link], &linked));
    let program = Program::run(&linked);
    crate::locks::check_deadlock(&program.inspect_at_rest());
    // A file of another build is passed over.
    let mut other = fs::read(&debug).unwrap();
    rebuild(&mut other);
    fs::write(&debug, other).unwrap();
    let error = inspect_process(program.pid(), &Options::default()).unwrap_err();
    assert!(matches!(error, Error::Stripped { .. }), "{error}");
}

#[test]
fn a_program_in_another_language_is_said_to_be_no_rust_program() {
    for (name, arguments) in [
        ("in-c", &["-g"][..]),
        ("in-c-without-debug-info", &[]),
        ("in-c-stripped", &["-s"]),
    ] {
        let program = Program::run(&compile_c(name, arguments));
        let error = inspect_process(program.pid(), &Options::default()).unwrap_err();
        assert!(matches!(error, Error::NotRust { .. }), "{name}: {error}");
        assert!(error.to_string().contains("is not a Rust program"));
    }
}

#[test]
fn a_program_without_async_functions_is_said_to_have_none() {
    let error = error_of("no-async", &["-Cdebuginfo=2"]);
    assert!(matches!(error, Error::NoAsync { .. }), "{error}");
}

#[test]
fn a_process_that_nobody_has_waited_for_is_said_to_have_ended() {
    let mut child = Command::new("true").stdin(Stdio::null()).spawn().unwrap();
    let pid = child.id();
    let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    while !stat().contains(") Z ") {
        thread::yield_now();
    }
    let error = inspect_process(pid, &Options::default()).unwrap_err();
    assert!(matches!(error, Error::Ended { .. }), "{error}");
    child.wait().unwrap();
}

#[test]
fn a_thread_of_the_kernel_is_said_to_be_one() {
    // In a container, there may be none.
    let comm = fs::read_to_string("/proc/2/comm").unwrap_or_default();
    if comm.trim() != "kthreadd" {
        return;
    }
    let error = inspect_process(2, &Options::default()).unwrap_err();
    assert!(matches!(error, Error::KernelThread { pid: 2 }), "{error}");
}

#[test]
fn a_process_that_is_traced_already_cannot_be_stopped() {
    let program = Program::start("deadlock", Profile::Dev);
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: The request takes no options here and accesses no memory of this process. The program is a child.
    let result = unsafe {
        libc::ptrace(
            libc::PTRACE_SEIZE,
            program.pid() as libc::pid_t,
            nothing,
            nothing,
        )
    };
    if result == -1 {
        // Containers may forbid ptrace.
        return;
    }
    let mut options = Options::default();
    options.freeze = true;
    let error = inspect_process(program.pid(), &options).unwrap_err();
    let Error::Traced { tracer, .. } = error else {
        panic!("{error}");
    };
    // The kernel names the thread that traces.
    assert!(PathBuf::from(format!("/proc/self/task/{tracer}")).exists());
    assert!(inspect_process(program.pid(), &Options::default()).is_ok());
}

/// Changes the build id in an ELF file.
fn rebuild(file: &mut [u8]) {
    let note = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
    let mut windows = file.windows(note.len());
    let at = windows.position(|window| window == note).unwrap();
    file[at + note.len()] ^= 0xff;
}

#[test]
fn a_core_file_of_another_build_is_refused() {
    let original = fs::read(path("deadlock", Profile::Dev)).unwrap();
    let mut other = original.clone();
    rebuild(&mut other);
    let tmp = target().join("tmp");
    fs::create_dir_all(&tmp).unwrap();
    let (executable, core) = (tmp.join("rebuilt"), tmp.join("core-of-rebuilt"));
    let _ = fs::remove_file(&executable);
    // A process of its own copies it: a file that is open for writing, here or in a child, cannot be started.
    let copied = Command::new("cp")
        .arg(path("deadlock", Profile::Dev))
        .arg(&executable)
        .status();
    assert!(copied.unwrap().success());
    let program = Program::run(&executable);
    program.inspect_at_rest();
    fs::write(&core, core_file::of(program.pid())).unwrap();
    assert!(inspect_core(&core, &Options::default()).is_ok());
    fs::remove_file(&executable).unwrap();
    fs::write(&executable, &other).unwrap();
    let error = inspect_core(&core, &Options::default()).unwrap_err();
    let Error::OtherBuild { id, program_id, .. } = &error else {
        panic!("{error}");
    };
    assert!(id.is_some() && program_id.is_some() && id != program_id);
    for id in [id, program_id].into_iter().flatten() {
        assert!(error.to_string().contains(id), "{error}");
    }
    // The program still runs, from the file that was removed.
    assert!(inspect_process(program.pid(), &Options::default()).is_ok());
    let mut options = Options::default();
    options.debug_info = Some(executable.clone());
    let error = inspect_process(program.pid(), &options).unwrap_err();
    assert!(matches!(error, Error::OtherBuild { .. }), "{error}");
    fs::remove_file(&executable).unwrap();
    fs::remove_file(&core).unwrap();
}

#[test]
fn a_truncated_core_file_is_said_to_be_truncated() {
    let program = Program::start("deadlock", Profile::Dev);
    program.inspect_at_rest();
    let mut bytes = core_file::of(program.pid());
    let core = target().join("tmp/truncated");
    fs::create_dir_all(target().join("tmp")).unwrap();
    bytes.truncate(bytes.len() / 2);
    fs::write(&core, &bytes).unwrap();
    let report = inspect_core(&core, &Options::default()).unwrap();
    fs::remove_file(&core).unwrap();
    let mut missing = report.missing.iter();
    assert!(
        missing.any(|it| it.reason.starts_with("the core file is truncated")),
        "{report}"
    );
}

#[test]
fn a_process_that_ends_while_it_is_read_is_shown_whole_or_not_at_all() {
    let mut program = Program::start("many", Profile::Release);
    let begun = Instant::now();
    let whole = program.inspect();
    let needed = begun.elapsed();
    for part in 1..4 {
        let pid = program.pid();
        let killer = thread::spawn(move || {
            thread::sleep(needed * part / 4);
            drop(program);
        });
        match inspect_process(pid, &Options::default()) {
            Ok(report) => assert_eq!(report.tasks.len(), whole.tasks.len()),
            Err(Error::NoProcess { .. } | Error::Ended { .. } | Error::EndedMeanwhile { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        killer.join().unwrap();
        program = Program::start("many", Profile::Release);
    }
}
