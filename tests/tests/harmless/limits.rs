//! Tests programs that run out of file descriptors or memory for a while, or whose file is removed.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tasktrace::{NoAnswer, TaskState, TraceError, TraceHandle, traced};
use tasktrace_tests::multi_thread;

use crate::support::LONG;

/// A budget for requests that are never answered.
const SHORT: Duration = Duration::from_millis(50);

/// Set in the process that runs a single test.
const CHILD: &str = "TASKTRACE_TESTS_LIMITS";

/// Runs a test in a process of its own. Returns `true` in that process.
fn is_child(test: &str) -> bool {
    is_child_of(&this_program(), test)
}

fn this_program() -> PathBuf {
    std::env::current_exe().expect("the path of this program is known")
}

/// Runs a test in a process of its own, which is a copy of this program in this file. Returns `true` in that process.
fn is_child_of(program: &Path, test: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let mut child = Command::new(program);
    child.args(["--exact", "--nocapture", test]).env(CHILD, "1");
    let output = child.output().expect("the program can be started");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    false
}

type Resource = libc::__rlimit_resource_t;

/// Calls `run` under another limit, and then restores the former one.
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
    // SAFETY: as in the call above.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const former) }, 0);
    result
}

/// Returns `true` if the system takes a limit of the address space. Emulators of processes ignore it, because they share
/// the address space.
fn can_limit_memory() -> bool {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let read = |limit: &mut libc::rlimit| {
        // SAFETY: `getrlimit` writes the limits to a pointer that is valid for writes.
        assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_AS, limit) }, 0);
        limit.rlim_cur
    };
    // More than any program here needs.
    let large = 1 << 46;
    read(&mut limit);
    with_limit(libc::RLIMIT_AS, large, || read(&mut limit)) == large
}

/// An async fn without the attribute: only debug information has its name.
async fn not_traced() {
    tokio::sync::Notify::new().notified().await;
}

#[traced]
async fn waits() {
    not_traced().await;
}

/// Returns the text of a dump, and both texts of a trace.
fn texts(handle: &TraceHandle) -> [String; 3] {
    let dump = tasktrace::dump_blocking(LONG);
    let trace = handle
        .backtrace_timeout(LONG)
        .expect("the runtime polls the task");
    [dump.to_string(), format!("{trace}"), format!("{trace:#}")]
}

/// Returns the size of the address space of this process, in bytes.
fn address_space() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("the file can be read");
    let pages = statm
        .split(' ')
        .next()
        .expect("the file begins with the size");
    pages.parse::<u64>().expect("the size is a number") * 4096
}

/// Waits until the thread of this name has started, as its third sleep proves. A thread that starts while there is no
/// memory ends the process, because the standard library cannot allocate its signal stack.
fn wait_until_started(name: &str) {
    let sleeps = |status: &str| {
        let named = status.lines().next()?.strip_prefix("Name:")?.trim() == name;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line?.trim().parse::<u64>().ok().filter(|_| named)
    };
    let has_started = || {
        let threads = std::fs::read_dir("/proc/self/task").expect("the file can be read");
        let statuses = threads.flatten().map(|thread| thread.path().join("status"));
        let mut statuses = statuses.filter_map(|path| std::fs::read_to_string(path).ok());
        statuses.any(|status| sleeps(&status) >= Some(3))
    };
    while !has_started() {
        std::thread::yield_now();
    }
}

#[test]
fn a_task_that_no_thread_can_wake_is_reported_as_not_woken() {
    if !can_limit_memory() {
        println!("not run: here, the address space cannot be limited");
        return;
    }
    if !is_child("limits::a_task_that_no_thread_can_wake_is_reported_as_not_woken") {
        return;
    }
    let runtime = multi_thread();
    let (future, handle) = traced(waits());
    runtime.spawn(future);
    while handle.state() != TaskState::Suspended {
        std::thread::yield_now();
    }
    wait_until_started("tasktrace-clock");
    // The limit leaves no room for the stack of a thread.
    let (error, dump) = with_limit(libc::RLIMIT_AS, address_space() + (1 << 20), || {
        let error = handle.backtrace_timeout(SHORT);
        (error, tasktrace::dump_blocking(SHORT))
    });
    let error = error.expect_err("the task is not woken");
    let TraceError::NoAnswer { reason, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(reason, NoAnswer::NotWoken);
    let text = dump.to_string();
    assert!(
        text.contains("it was not woken, because the thread that wakes tasks could not be started"),
        "{text}"
    );
    handle
        .backtrace_timeout(LONG)
        .expect("a thread can be started again");
}

#[test]
fn names_come_back_when_files_can_be_opened_again() {
    if !is_child("limits::names_come_back_when_files_can_be_opened_again") {
        return;
    }
    let runtime = multi_thread();
    let (future, handle) = traced(waits());
    runtime.spawn(future);
    // The request starts the thread that wakes tasks, which stays.
    handle
        .backtrace_timeout(LONG)
        .expect("the runtime polls the task");
    for text in with_limit(libc::RLIMIT_NOFILE, 0, || texts(&handle)) {
        let note = "the program's file could not be opened: Too many open files";
        assert!(text.contains(note), "{text}");
        assert!(!text.contains("built without"), "{text}");
        assert!(
            !text.contains("not_traced"),
            "the limit has no effect: {text}"
        );
    }
    for text in texts(&handle) {
        assert!(text.contains("not_traced"), "{text}");
        assert!(!text.contains("note: names"), "{text}");
    }
}

#[test]
fn a_program_whose_file_is_removed_is_not_said_to_have_no_symbols() {
    let copy = this_program().with_extension("copy");
    if std::env::var_os(CHILD).is_none() {
        // Another program copies. A thread that writes a program may start a process meanwhile, which has the file open
        // for a moment, and the system refuses to run a file that is open for writing.
        let copied = Command::new("cp").arg(this_program()).arg(&copy).status();
        assert!(copied.expect("`cp` can be started").success());
    }
    let test = "limits::a_program_whose_file_is_removed_is_not_said_to_have_no_symbols";
    if !is_child_of(&copy, test) {
        return;
    }
    std::fs::remove_file(this_program()).expect("the copy belongs to this test");
    let runtime = multi_thread();
    let (future, handle) = traced(waits());
    runtime.spawn(future);
    handle
        .backtrace_timeout(LONG)
        .expect("the runtime polls the task");
    for text in texts(&handle) {
        let note = "the program's file was removed or replaced since the program was started";
        assert!(text.contains(note), "{text}");
        assert!(!text.contains("built without"), "{text}");
    }
}
