//! Programs whose debug info is in `.dwo` files or in a `.dwp` file.

use std::fs;
use std::path::{Path, PathBuf};

use tasktrace_inspect::{Error, Options, Report, inspect_core, inspect_process};

use crate::core_file;
use crate::program::{self, Program, target};

/// A program that blocks on a future, and needs no crate.
const SOURCE: &str = r#"
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

async fn outer() {
    let inner: std::pin::Pin<Box<dyn Future<Output = ()>>> = Box::pin(inner());
    inner.await;
}

async fn inner() {
    println!("ready");
    std::future::pending::<()>().await;
}

fn main() {
    block_on(outer());
}
"#;

/// Returns the first line of the program that contains `code`.
fn line(code: &str) -> usize {
    let mut lines = SOURCE.lines();
    lines.position(|line| line.contains(code)).unwrap() + 1
}

/// Compiles the program in a directory of its own.
pub(crate) fn compile(name: &str, arguments: &[&str]) -> PathBuf {
    let directory = target().join("tmp").join("split-debug-info").join(name);
    let _ = fs::remove_dir_all(&directory);
    let arguments = [&["-Cdebuginfo=2"], arguments].concat();
    program::compile(&directory, "waits", SOURCE, &arguments)
}

fn inspect(program: &Path, options: &Options) -> Result<Report, Error> {
    let program = Program::run(program);
    inspect_process(program.pid(), options)
}

/// Asserts that the report names both functions with their lines.
#[track_caller]
fn assert_is_whole(report: Result<Report, Error>) {
    let report = report.unwrap().to_string();
    for (function, code) in [("waits::outer", "inner.await"), ("waits::inner", "pending")] {
        let line = line(code);
        assert!(
            report.contains(&format!("╼ {function} at "))
                && report.contains(&format!("waits.rs:{line}\n")),
            "{report}"
        );
    }
}

#[test]
fn a_package_beside_the_program_is_read() {
    for version in ["-Cdwarf-version=4", "-Cdwarf-version=5"] {
        let program = compile("packed", &["-Csplit-debuginfo=packed", version]);
        assert!(program.with_extension("dwp").exists());
        assert_is_whole(inspect(&program, &Options::default()));
    }
}

#[test]
fn object_files_are_read_where_the_compiler_wrote_them_and_beside_the_program() {
    for version in ["-Cdwarf-version=4", "-Cdwarf-version=5"] {
        let program = compile("unpacked", &["-Csplit-debuginfo=unpacked", version]);
        assert_is_whole(inspect(&program, &Options::default()));
        let moved = target().join("tmp").join("split-debug-info").join("moved");
        let _ = fs::remove_dir_all(&moved);
        fs::rename(program.parent().unwrap(), &moved).unwrap();
        assert_is_whole(inspect(&moved.join("waits"), &Options::default()));
    }
}

#[test]
fn object_files_that_are_gone_are_counted() {
    let program = compile(
        "partly",
        &["-Csplit-debuginfo=unpacked", "-Ccodegen-units=16"],
    );
    let objects = fs::read_dir(program.parent().unwrap()).unwrap();
    let objects = objects.map(|file| file.unwrap().path());
    let objects = objects.filter(|path| path.extension().is_some_and(|it| it == "dwo"));
    let contains = |path: &Path, text: &[u8]| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(text.len()).any(|it| it == text)
    };
    // The files with the bodies and the types of the async functions remain.
    let (kept, gone): (Vec<_>, Vec<_>) = objects.partition(|path| contains(path, b"{async_fn"));
    assert!(!kept.is_empty() && !gone.is_empty());
    for path in &gone {
        fs::remove_file(path).unwrap();
    }
    let report = inspect(&program, &Options::default()).unwrap();
    let missing = report
        .missing
        .iter()
        .find(|it| it.reason.contains(".dwo files"));
    assert_eq!(missing.map(|missing| missing.count), Some(gone.len()));
}

#[test]
fn a_package_elsewhere_is_read_if_it_is_named() {
    let program = compile("named", &["-Csplit-debuginfo=packed"]);
    let package = program.with_file_name("elsewhere");
    fs::rename(program.with_extension("dwp"), &package).unwrap();
    let error = inspect(&program, &Options::default()).unwrap_err();
    assert!(matches!(error, Error::SplitDebugInfo { .. }), "{error}");
    let advice = "name the .dwp file, or put it beside the program";
    assert!(error.to_string().contains(advice), "{error}");
    let mut options = Options::default();
    options.debug_info = Some(package);
    assert_is_whole(inspect(&program, &options));
}

#[test]
fn a_package_of_another_build_is_not_used() {
    let other = compile("other", &["-Csplit-debuginfo=packed", "-Copt-level=1"]);
    let program = compile("rebuilt", &["-Csplit-debuginfo=packed"]);
    fs::rename(other.with_extension("dwp"), program.with_extension("dwp")).unwrap();
    let error = inspect(&program, &Options::default()).unwrap_err();
    assert!(matches!(error, Error::SplitDebugInfo { .. }), "{error}");
}

#[test]
fn files_beside_the_program_are_found_by_a_link_to_it() {
    for (name, split) in [
        ("linked-packed", "-Csplit-debuginfo=packed"),
        ("linked-unpacked", "-Csplit-debuginfo=unpacked"),
    ] {
        let compiled = compile(name, &[split]);
        // The files are not where the compiler wrote them.
        let directory = compiled.with_file_name("").with_extension("moved");
        let _ = fs::remove_dir_all(&directory);
        fs::rename(compiled.parent().unwrap(), &directory).unwrap();
        let program = Program::run(&directory.join("waits"));
        let links = directory.join("links");
        fs::create_dir(&links).unwrap();
        let core = links.join("core");
        fs::write(&core, core_file::of(program.pid())).unwrap();
        let mut options = Options::default();
        options.executable = Some(links.join("program"));
        std::os::unix::fs::symlink(directory.join("waits"), links.join("program")).unwrap();
        let report = inspect_core(&core, &options).unwrap();
        let mut missing = report.missing.iter();
        assert!(missing.all(|it| !it.reason.contains(".dwo")), "{report}");
    }
}
