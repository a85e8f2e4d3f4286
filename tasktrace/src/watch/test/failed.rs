//! Keeps the output of failed tests, in case the process ends before the test runner prints it.
//!
//! For a `#[tasktrace::test]`, this crate sees how the test ends. For a plain `#[test]`, it sees only panics, through
//! the panic hook: such a test has failed unless it caught the panic or is a `#[should_panic]` test.

use std::collections::VecDeque;
use std::sync::{OnceLock, PoisonError};

use crate::escape::{Escaped, cut};
use crate::os::env;
use crate::sync::StaticMutex as Mutex;

/// The largest number of outputs that are kept. Later outputs replace older ones.
const MAX_KEPT: usize = 64;

/// The largest number of bytes of one output. Longer outputs are truncated.
pub(super) const MAX_LENGTH: usize = 1 << 16;

static FAILED: Mutex<VecDeque<FailedTest>> = Mutex::new(VecDeque::new());

struct FailedTest {
    test: String,
    /// The messages of the test's panics, or the error that it returned.
    text: String,
    kind: TestKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TestKind {
    /// The test has the attribute `#[tasktrace::test]`.
    Tasktrace,
    /// The test is a plain `#[test]`.
    Plain,
}

/// Keeps the output of a failed `#[tasktrace::test]`.
pub(super) fn add(test: &str, text: String) {
    keep(test.to_owned(), text, TestKind::Tasktrace);
}

/// Keeps the message of a panic in a thread with the name of a plain `#[test]`. Only the last panic of each test is
/// kept.
pub(super) fn add_plain(thread: &str, text: String) {
    if is_test_name(thread) {
        keep(thread.to_owned(), text, TestKind::Plain);
    }
}

/// Returns `true` if a thread with this name may be that of a test. The test runner names a thread after the path of
/// the test function, or runs the test on the thread `main` if it runs one test at a time.
fn is_test_name(thread: &str) -> bool {
    let is_name = |segment: &str| {
        !segment.is_empty() && segment.chars().all(|it| it.is_alphanumeric() || it == '_')
    };
    thread.split("::").all(is_name)
}

fn keep(test: String, mut text: String, kind: TestKind) {
    if text.len() > MAX_LENGTH {
        text.truncate(cut(&text, MAX_LENGTH).len());
        text.push_str("…\n");
    }
    // Allocates before it locks, because nothing is allocated under a lock.
    let room = VecDeque::with_capacity(MAX_KEPT + 1);
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    let unused = match failed.capacity() {
        0 => std::mem::replace(&mut *failed, room),
        _ => room,
    };
    let is_same =
        |it: &FailedTest| (it.kind, kind) == (TestKind::Plain, TestKind::Plain) && it.test == test;
    let same = failed.iter().position(is_same);
    let before = same.and_then(|at| failed.remove(at));
    failed.push_back(FailedTest { test, text, kind });
    let oldest = match failed.len() > MAX_KEPT {
        true => failed.pop_front(),
        false => None,
    };
    drop(failed);
    drop((unused, before, oldest));
}

/// Takes the output of the tests that have failed so far. Returns `None` if there is none, or if the test runner has
/// printed it.
pub(super) fn take() -> Option<String> {
    if is_printed() {
        return None;
    }
    let failed = {
        let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *failed)
    };
    if failed.is_empty() {
        return None;
    }
    let mut text = String::new();
    let heads = [
        (TestKind::Tasktrace, "these tests have failed before"),
        (
            TestKind::Plain,
            "these tests have panicked before, and failed unless they are `#[should_panic]`",
        ),
    ];
    for (kind, head) in heads {
        let mut all = failed.iter().filter(|it| it.kind == kind).peekable();
        if all.peek().is_some() {
            text += &format!("tasktrace: {head}:\n");
        }
        for failed in all {
            text += &format!("\n---- {} ----\n{}\n", Escaped(&failed.test), failed.text);
        }
    }
    Some(text)
}

/// Returns `true` if the test runner prints output at once instead of capturing it. The result is computed once.
pub(super) fn is_printed() -> bool {
    static IS_PRINTED: OnceLock<bool> = OnceLock::new();
    *IS_PRINTED.get_or_init(|| {
        std::env::args_os().any(|argument| argument == "--nocapture" || argument == "--no-capture")
            || env::var("RUST_TEST_NOCAPTURE").is_some_and(|value| value != "0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_name_that_is_a_path_may_be_a_test() {
        for name in ["main", "works", "api::orders::are_paid", "größe_1"] {
            assert!(is_test_name(name), "{name}");
        }
        for name in [
            "",
            "<unnamed>",
            "tokio-rt-worker",
            "api::",
            "a b",
            "tasktrace-waker",
        ] {
            assert!(!is_test_name(name), "{name}");
        }
    }
}
