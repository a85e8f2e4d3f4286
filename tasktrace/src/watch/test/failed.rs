//! The tests that have failed, in case the process ends before the test runner prints what they said.
//!
//! Of a test of ours the end is seen. Of a plain `#[test]` only its panics are, by the panic hook: such a test
//! has failed unless it caught the panic, or was to panic.

use std::collections::VecDeque;
use std::env;
use std::sync::{OnceLock, PoisonError};

use crate::escape::Escaped;
use crate::sync::StaticMutex as Mutex;

/// The number of outputs that are kept: the last ones.
const KEPT: usize = 64;

/// Longer texts are cut.
pub(super) const LONGEST: usize = 1 << 16;

static FAILED: Mutex<VecDeque<Failed>> = Mutex::new(VecDeque::new());

struct Failed {
    test: String,
    /// The text with which its panics were told, or the error that it returned.
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The test is one of ours.
    Ours,
    /// The test is a plain `#[test]`.
    Plain,
}

/// Keeps what a test of ours said that has failed.
pub(super) fn add(test: &str, text: String) {
    keep(test.to_owned(), text, Kind::Ours);
}

/// The same of a panic in a thread of this name, if that is the name of a test. The last panic counts.
pub(super) fn add_plain(thread: &str, text: String) {
    if is_test_name(thread) {
        keep(thread.to_owned(), text, Kind::Plain);
    }
}

/// Returns `true` if a thread of this name may be that of a test: the test runner calls it by the path of the function.
/// Only `main` is another thread, on which tests run if there is one at a time.
fn is_test_name(thread: &str) -> bool {
    let is_name = |segment: &str| {
        !segment.is_empty() && segment.chars().all(|it| it.is_alphanumeric() || it == '_')
    };
    thread.split("::").all(is_name)
}

fn keep(test: String, mut text: String, kind: Kind) {
    if text.len() > LONGEST {
        let mut end = LONGEST;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("…\n");
    }
    // Room is made before it is locked.
    let room = VecDeque::with_capacity(KEPT + 1);
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    let unused = match failed.capacity() {
        0 => std::mem::replace(&mut *failed, room),
        _ => room,
    };
    let is_same = |it: &Failed| (it.kind, kind) == (Kind::Plain, Kind::Plain) && it.test == test;
    let same = failed.iter().position(is_same);
    let before = same.and_then(|at| failed.remove(at));
    failed.push_back(Failed { test, text, kind });
    let oldest = match failed.len() > KEPT {
        true => failed.pop_front(),
        false => None,
    };
    drop(failed);
    drop((unused, before, oldest));
}

/// Takes the output of the tests that have failed so far. Returns `None` if the test runner has printed it.
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
        (Kind::Ours, "these tests have failed before"),
        (
            Kind::Plain,
            "these tests have panicked before, and failed unless they were to",
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

/// Returns `true` if the test runner keeps no output back. It decides that once.
pub(super) fn is_printed() -> bool {
    static IS_PRINTED: OnceLock<bool> = OnceLock::new();
    *IS_PRINTED.get_or_init(|| {
        let is_set = |value: &str| value != "0";
        env::args_os().any(|argument| argument == "--nocapture" || argument == "--no-capture")
            || env::var("RUST_TEST_NOCAPTURE").is_ok_and(|value| is_set(&value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_threads_that_run_tests() {
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
