//! Tests that the verdict about a hung test names a function of the program and the operation of a library that it
//! waits in, however deep the leaf is below them.
//!
//! Each test hangs in a child process, in the function `fetch` that its body calls, and passes at once in this process.

mod channels;
mod http;
mod pools;
mod quic;
mod services;
mod shapes;
mod threads;

use std::process::Command;

/// The environment variable that makes the tests of a child process hang.
const VARIABLE: &str = "TASKTRACE_CRATES_HANG";

fn is_wanted() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Defines tests whose bodies call `fetch`, which never returns: `name("operation") { set up } fetch(arguments) { body
/// }`.
macro_rules! hangs {
    ($($test:ident($operation:literal) { $($set_up:tt)* } fetch($($argument:ident: $type:ty),*) $body:block)*) => {$(
        mod $test {
            #[allow(unused_imports, reason = "some need nothing")]
            use super::*;

            #[test]
            fn the_verdict_names_fetch_and_the_operation() {
                crate::verdicts::check(module_path!(), file!(), $operation);
            }

            #[tasktrace::test(timeout = "2s")]
            async fn hangs() {
                if crate::verdicts::is_wanted() {
                    $($set_up)*
                    fetch($($argument),*).await;
                }
            }

            async fn fetch($($argument: $type),*) $body
        }
    )*};
}
use hangs;

/// Runs the test that hangs in `module`, and returns its output.
fn hang(module: &str) -> String {
    let (_, module) = module.split_once("::").expect("it is in this crate");
    let output = Command::new(std::env::current_exe().expect("it is running"))
        .args([&format!("{module}::hangs"), "--exact", "--nocapture"])
        .env(VARIABLE, "1")
        .env_remove("RUST_BACKTRACE")
        .env_remove("TASKTRACE_TEST_TIMEOUT")
        .output()
        .expect("it can be started");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// Returns the verdict in the output of a test that hangs: the waiting function and the operation.
fn verdict(text: &str) -> &str {
    let verdict = text.lines().find(|line| line.starts_with("test hung for "));
    let verdict = verdict.and_then(|line| line.split_once(": "));
    verdict.unwrap_or_else(|| panic!("no verdict:\n{text}")).1
}

/// The expected operation of a future that registers a waker in its first poll only: a later poll does not show the
/// resource.
const NO_WAKER: &str = "no waker";

/// Returns the text after the name of `fetch` in `module`. Debug information with lines only has no names of functions
/// that are not traced.
fn after_fetch<'a>(text: &'a str, module: &str) -> Option<&'a str> {
    let unnamed = || {
        text.strip_prefix("{async fn}")
            .filter(|_| !cfg!(debug_assertions))
    };
    text.strip_prefix(&format!("{module}::fetch"))
        .or_else(unnamed)
}

/// Asserts that the subject of the verdict is `fetch` in `module`, or a block in it, at a line of `file` with an
/// `.await`, and that it waits in `operation`.
#[track_caller]
fn check(module: &str, file: &str, operation: &str) {
    let text = hang(module);
    let verdict = verdict(&text);
    if operation == NO_WAKER {
        let is_told = verdict.contains(" registered no waker in this poll");
        return assert!(verdict.starts_with(module) && is_told, "{verdict}");
    }
    let (subject, rest) = verdict
        .split_once(" is waiting ")
        .unwrap_or_else(|| panic!("{verdict}\n{text}"));
    let subject = after_fetch(subject, module);
    let subject = subject.map(|rest| rest.strip_prefix("::{async block}").unwrap_or(rest));
    let (place, line) = subject
        .and_then(|rest| rest.strip_prefix(" at "))
        .and_then(|place| place.rsplit_once(':'))
        .unwrap_or_else(|| panic!("{verdict}\n{text}"));
    assert!(file.ends_with(place), "{verdict}");
    let source = std::fs::read_to_string(file).expect("it is run where it was built");
    let line: usize = line.parse().unwrap_or_else(|_| panic!("{verdict}"));
    let source = source.lines().nth(line - 1).unwrap_or_default();
    assert!(source.contains("await"), "{verdict}\n{source}");
    // The tree, which the verdict precedes, shows each function that the verdict names.
    let (_, tree) = text.split_once(operation).unwrap_or_default();
    let names = operation.split([' ', '(', ')']);
    for name in names.filter_map(|path| path.rsplit_once("::")?.1.into()) {
        // A longer name may begin with this one.
        let shown = ["::", "::poll_"].map(|before| format!("{before}{name}"));
        let is_shown = |shown: &String| {
            [" ", "::"]
                .iter()
                .any(|end| tree.contains(&format!("{shown}{end}")))
        };
        assert!(shown.iter().any(is_shown), "{name}\n{text}");
    }
    // The resources of other tasks follow, or the test.
    let after = rest.strip_prefix(operation);
    let is_all = |after: &str| after.starts_with(", and ") || after.starts_with(" (in ");
    assert!(after.is_some_and(is_all), "{verdict}\n{text}");
}
