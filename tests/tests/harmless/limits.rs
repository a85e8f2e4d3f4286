//! Programs that are out of file descriptors or memory for a while.
#![cfg(target_os = "linux")]

use std::process::Command;
use std::time::Duration;

use tasktrace::{NoAnswer, TaskState, TraceError, TraceHandle, traced};
use tasktrace_tests::multi_thread;

use crate::support::LONG;

/// Nothing answers, however long it is waited for.
const SHORT: Duration = Duration::from_millis(50);

/// Set in a process that a test has started, to be the test.
const CHILD: &str = "TASKTRACE_TESTS_LIMITS";

/// Runs a test in a process of its own. Returns `true` in that process.
fn is_child(test: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let mut child = Command::new(std::env::current_exe().expect("it is known"));
    child.args(["--exact", "--nocapture", test]).env(CHILD, "1");
    let output = child.output().expect("it can be started");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    false
}

type Resource = libc::__rlimit_resource_t;

/// Runs `run` with another limit, and then sets the former back.
fn with_limit<R>(resource: Resource, now: u64, run: impl FnOnce() -> R) -> R {
    let mut former = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `getrlimit` writes the limits to a pointer that is valid for writes.
    assert_eq!(unsafe { libc::getrlimit(resource, &raw mut former) }, 0);
    let limit = libc::rlimit {
        rlim_cur: now,
        ..former
    };
    // SAFETY: `setrlimit` reads the limits from a pointer that is valid for reads.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0);
    let result = run();
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const former) }, 0);
    result
}

/// Not traced itself, so only debug information knows its name.
async fn not_traced() {
    tokio::sync::Notify::new().notified().await;
}

#[traced]
async fn waits() {
    not_traced().await;
}

/// A dump, and a trace in both forms.
fn told(handle: &TraceHandle) -> [String; 3] {
    let dump = tasktrace::dump_blocking(LONG);
    let trace = handle.backtrace_timeout(LONG).expect("it is polled");
    [dump.to_string(), format!("{trace}"), format!("{trace:#}")]
}

/// The size of this process, in bytes.
fn size() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("it can be read");
    let pages = statm.split(' ').next().expect("it begins with the size");
    pages.parse::<u64>().expect("it is a number") * 4096
}

/// Waits until the thread of this name has begun: so often has it slept. One that begins while there is no memory ends the
/// process, because the standard library has no stack for its signals.
fn wait_until_begun(name: &str) {
    let sleeps = |status: &str| {
        let named = status.lines().next()?.strip_prefix("Name:")?.trim() == name;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line?.trim().parse::<u64>().ok().filter(|_| named)
    };
    let has_begun = || {
        let threads = std::fs::read_dir("/proc/self/task").expect("it can be read");
        let statuses = threads.flatten().map(|thread| thread.path().join("status"));
        let mut statuses = statuses.filter_map(|path| std::fs::read_to_string(path).ok());
        statuses.any(|status| sleeps(&status) >= Some(3))
    };
    while !has_begun() {
        std::thread::yield_now();
    }
}

#[test]
fn a_task_that_no_thread_can_wake_is_not_said_to_be_woken() {
    if !is_child("limits::a_task_that_no_thread_can_wake_is_not_said_to_be_woken") {
        return;
    }
    let runtime = multi_thread();
    let (future, handle) = traced(waits());
    runtime.spawn(future);
    while handle.state() != TaskState::Suspended {
        std::thread::yield_now();
    }
    wait_until_begun("tasktrace-clock");
    // There is no room for the stack of a thread.
    let (error, dump) = with_limit(libc::RLIMIT_AS, size() + (1 << 20), || {
        let error = handle.backtrace_timeout(SHORT);
        (error, tasktrace::dump_blocking(SHORT))
    });
    let error = error.expect_err("it is not woken");
    let TraceError::NoAnswer { reason, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(reason, NoAnswer::NotWoken);
    let text = dump.to_string();
    assert!(
        text.contains("it was not woken, because no thread could be started"),
        "{text}"
    );
    handle
        .backtrace_timeout(LONG)
        .expect("a thread can be started again");
}

#[test]
fn names_return_with_file_descriptors() {
    if !is_child("limits::names_return_with_file_descriptors") {
        return;
    }
    let runtime = multi_thread();
    let (future, handle) = traced(waits());
    runtime.spawn(future);
    // The thread that wakes tasks is there from now on.
    handle.backtrace_timeout(LONG).expect("it is polled");
    for text in with_limit(libc::RLIMIT_NOFILE, 0, || told(&handle)) {
        let note = "the program's file could not be opened: Too many open files";
        assert!(text.contains(note), "{text}");
        assert!(!text.contains("built without"), "{text}");
        assert!(
            !text.contains("not_traced"),
            "the limit has no effect: {text}"
        );
    }
    for text in told(&handle) {
        assert!(text.contains("not_traced"), "{text}");
        assert!(!text.contains("note: names"), "{text}");
    }
}
