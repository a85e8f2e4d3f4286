//! Tasks that wait for locks of async-lock which other tasks hold.

use tasktrace_inspect::{HeldKind, Report, TaskState};

use crate::program::{PROFILES, Program};
use crate::tree::{leaf, task};

/// The function of each waiter, what it waits for, and the functions of the holders.
const WAITS: &[(&str, &str, HeldKind, &[&str])] = &[
    (
        "waits_to_read",
        "RwLock::read",
        HeldKind::Write,
        &["holds_to_write"],
    ),
    (
        "waits_to_write",
        "RwLock::write",
        HeldKind::Write,
        &["holds_to_write"],
    ),
    (
        "waits_to_upgradable_read",
        "RwLock::upgradable_read_arc",
        HeldKind::Write,
        &["holds_to_write"],
    ),
    (
        "waits_for_readers",
        "RwLock::write",
        HeldKind::Read,
        &["reads"],
    ),
    (
        "waits_for_owned_reader",
        "RwLock::write_arc",
        HeldKind::Read,
        &["reads_owned"],
    ),
    (
        "waits_for_waiting_writer",
        "RwLock::read_arc",
        HeldKind::Write,
        &["waits_for_readers"],
    ),
    (
        "upgrades",
        "RwLockUpgradableReadGuard::upgrade",
        HeldKind::Read,
        &["reads"],
    ),
    (
        "waits_for_upgrade",
        "RwLock::upgradable_read",
        HeldKind::Write,
        &["upgrades"],
    ),
    (
        "waits_for_permit",
        "Semaphore::acquire",
        HeldKind::Permit,
        &["has_owned_permit", "has_permit"],
    ),
    (
        "waits_for_owned_permit",
        "Semaphore::acquire_arc",
        HeldKind::Permit,
        &["has_owned_permit", "has_permit"],
    ),
    (
        "waits_to_lock_owned",
        "Mutex::lock_arc",
        HeldKind::Mutex,
        &["locks_owned"],
    ),
    (
        "waits_for_outer",
        "Mutex::lock",
        HeldKind::Mutex,
        &["holds_outer"],
    ),
    (
        "reads_twice",
        "RwLock::read",
        HeldKind::Write,
        &["waits_for_both_reads"],
    ),
    (
        "waits_for_both_reads",
        "RwLock::write",
        HeldKind::Read,
        &["reads_twice"],
    ),
];

fn is_complete(report: &Report) -> bool {
    let mut tasks = report.tasks.iter();
    tasks.all(|task| matches!(task.state, TaskState::Suspended | TaskState::BlockOn))
        && report.deadlocks.len() == 2
}

#[test]
fn the_holders_of_locks_of_async_lock_are_named() {
    for profile in PROFILES {
        let report = Program::start("async_locks", profile).inspect_until(is_complete);
        for (waiter, what, kind, holders) in WAITS {
            let frame = leaf(task(&report, &format!("async_locks::{waiter}")));
            assert_eq!(&*frame.name, format!("async_lock::{what}"));
            let wait = frame.wait.as_ref().unwrap_or_else(|| panic!("{report}"));
            let held = wait.holders.iter().map(|it| &it.held);
            assert!(
                held.clone().all(|held| held.kind == *kind),
                "{waiter}: {wait:?}"
            );
            let mut names: Vec<_> = held
                .map(|it| &it.function["async_locks::".len()..])
                .collect();
            names.sort_unstable();
            assert_eq!(names, *holders, "{waiter} {profile:?}\n{report}");
        }
        check_deadlocks(&report);
    }
}

/// Tasks that hold locks to write, and wait for each other, are a deadlock.
fn check_deadlocks(report: &Report) {
    let mut texts: Vec<_> = report.deadlocks.iter().map(|it| &*it.text).collect();
    texts.sort_unstable();
    let [reads, writes] = texts.as_slice() else {
        panic!("{report}");
    };
    for (text, task, what) in [
        (reads, "reads_other", "read"),
        (writes, "writes_both", "write"),
    ] {
        let waits = format!(
            "async_locks::{task} waits for async_lock::RwLock::{what}, held by a task in async_locks::{task} at "
        );
        assert!(text.starts_with(&waits), "{text}");
    }
}
