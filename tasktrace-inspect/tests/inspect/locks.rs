//! Tasks that wait for locks which other tasks hold.

use tasktrace_inspect::{HeldKind, Report};

use crate::program::{ALL_TASKS, PROFILES, Program};
use crate::tree::{check, leaf, state, task};

const TREES: &[&str] = &[
    "locks::holder @ holder\n  tokio::time::sleep",
    "locks::waiter @ waiter\n  tokio::sync::Mutex::lock",
    "locks::owned_waiter @ owned_waiter\n  tokio::sync::Mutex::lock_owned",
    "locks::reader @ reader\n  tokio::time::sleep",
    "locks::writer @ writer\n  tokio::sync::RwLock::write",
    "locks::permit_holder @ permit_holder\n  tokio::time::sleep",
    "locks::permit_waiter @ permit_waiter\n  tokio::sync::Semaphore::acquire",
    "locks::dropper @ dropper\n  tokio::time::sleep",
];

pub(crate) fn check_locks(report: &Report) {
    check(report, TREES);
    for (waiter, holder, kind) in [
        ("locks::waiter", "locks::holder", HeldKind::Mutex),
        ("locks::owned_waiter", "locks::holder", HeldKind::Mutex),
        ("locks::writer", "locks::reader", HeldKind::Read),
        (
            "locks::permit_waiter",
            "locks::permit_holder",
            HeldKind::Permit,
        ),
    ] {
        let wait = leaf(task(report, waiter)).wait.as_ref().unwrap();
        let holding = task(report, holder);
        let [held_by] = wait.holders.as_slice() else {
            panic!("{waiter} has {} holders\n{report}", wait.holders.len());
        };
        assert_eq!(held_by.task, holding.id, "{waiter}");
        assert_eq!(held_by.held.kind, kind);
        assert!(held_by.held.function.ends_with(holder));
        assert_eq!(held_by.held.line, holding.frames[0].line);
        assert_eq!(held_by.waits_for.as_deref(), Some("tokio::time::sleep"));
        assert!(held_by.held.is_polled);
    }
    // A guard that was dropped holds nothing. If another task holds the lock, that cannot be told from memory.
    let holders = |name| {
        let wait = leaf(task(report, name)).wait.as_ref().unwrap();
        let holders = wait.holders.iter();
        let holders = holders.map(|it| it.held.function.rsplit("::").next().unwrap().to_owned());
        holders.collect::<Vec<_>>()
    };
    assert_eq!(task(report, "locks::dropper").holds, []);
    let second = holders("locks::second_waiter");
    assert!(second.contains(&"second_holder".to_owned()), "{second:?}");
    assert!(second.len() < 2 || report.to_string().contains("; one of these is the holder"));
    assert_eq!(report.deadlocks, []);
    assert_eq!(
        state(task(report, "locks::waiter")),
        "locked, place 1 of 2 in the queue"
    );
    assert_eq!(
        state(task(report, "locks::owned_waiter")),
        "locked, place 2 of 2 in the queue"
    );
}

#[test]
fn the_holder_of_a_lock_is_named() {
    for profile in PROFILES {
        for name in ALL_TASKS {
            let program = Program::start(name, profile);
            check_locks(&program.inspect_at_rest());
        }
    }
}

#[test]
fn two_locks_in_opposite_order_are_a_deadlock() {
    for profile in PROFILES {
        let program = Program::start("deadlock", profile);
        let report = program.inspect_at_rest();
        check_deadlock(&report);
    }
}

pub(crate) fn check_deadlock(report: &Report) {
    check(
        report,
        &[
            "deadlock::there @ there\n  tokio::sync::Mutex::lock",
            "deadlock::back @ back\n  tokio::sync::Mutex::lock",
        ],
    );
    let [deadlock] = report.deadlocks.as_slice() else {
        panic!("{report}");
    };
    let ids = [
        task(report, "deadlock::there").id,
        task(report, "deadlock::back").id,
    ];
    assert_eq!(deadlock.tasks, ids);
    for part in [
        "deadlock::there waits for tokio::sync::Mutex::lock, held by task",
        "in deadlock::back at ",
        "src/bin/deadlock.rs:",
        "which waits for tokio::sync::Mutex::lock, held by task",
    ] {
        assert!(deadlock.text.contains(part), "{}", deadlock.text);
    }
}

#[test]
fn a_lock_that_was_handed_to_a_future_which_is_not_polled_is_a_deadlock() {
    for profile in PROFILES {
        let program = Program::start("futurelock", profile);
        let report = program.inspect_at_rest();
        let stuck = task(&report, "futurelock::stuck");
        let [deadlock] = report.deadlocks.as_slice() else {
            panic!("{report}");
        };
        assert_eq!(deadlock.tasks, [stuck.id]);
        let wait = leaf(stuck).wait.as_ref().unwrap();
        assert_eq!(wait.holders[0].held.kind, HeldKind::Granted);
        assert!(!wait.holders[0].held.is_polled);
        assert_eq!(wait.holders[0].task, stuck.id);
    }
}

#[test]
fn a_guard_that_is_mapped_to_another_lock_holds_only_its_own() {
    for profile in PROFILES {
        let report = Program::start("mapped", profile).inspect_at_rest();
        let text = |name| state(task(&report, name));
        assert!(
            text("mapped::maps").contains("the holder is not known"),
            "{report}"
        );
        for (waiter, holder, kind) in [
            ("mapped::waits_for_outer", "mapped::maps", HeldKind::Mutex),
            (
                "mapped::waits_to_write",
                "mapped::maps_read",
                HeldKind::Read,
            ),
            (
                "mapped::waits_to_read",
                "mapped::maps_write",
                HeldKind::Write,
            ),
        ] {
            let wait = leaf(task(&report, waiter)).wait.as_ref().unwrap();
            let [held_by] = wait.holders.as_slice() else {
                panic!("{waiter}\n{report}");
            };
            assert_eq!(held_by.held.function, holder);
            assert_eq!(held_by.held.kind, kind);
        }
        assert_eq!(report.deadlocks, []);
    }
}
