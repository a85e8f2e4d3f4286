//! Cycles of tasks: which of them are called deadlocks.

use crate::program::{PROFILES, Profile, Program};
use crate::tree::{task, tree};

#[test]
fn cycles_that_something_else_may_break_are_no_deadlocks() {
    for profile in PROFILES {
        let program = Program::start("innocent", profile);
        let report = program.inspect_at_rest();
        let moved = task(&report, "innocent::moved");
        for deadlock in &report.deadlocks {
            assert!(deadlock.tasks.contains(&moved.id), "{report}");
        }
        // The tasks wait for each other all the same.
        for name in [
            "hand_written",
            "select",
            "futures_select",
            "poll_function",
            "reader",
            "moved",
        ] {
            let task = task(&report, &format!("innocent::{name}"));
            assert_eq!(task.holds.len(), 1, "{task}");
        }
    }
}

#[test]
fn a_guard_that_was_moved_into_another_future_is_listed_once() {
    for profile in PROFILES {
        // A pointer that an earlier poll left on a stack may look like another guard, and hide the deadlock.
        let is_reported = (0..10).any(|_| {
            let program = Program::start("innocent", profile);
            let report = program.inspect_at_rest();
            let moved = task(&report, "innocent::moved");
            let [held] = moved.holds.as_slice() else {
                panic!("{report}");
            };
            assert_eq!(held.function, "innocent::keeper");
            let mut deadlocks = report.deadlocks.iter();
            deadlocks.any(|deadlock| deadlock.tasks.contains(&moved.id))
        });
        assert!(is_reported, "{profile:?}");
    }
}

#[test]
fn tasks_that_wait_for_each_other_by_turns_are_no_deadlock() {
    let program = Program::start("turns", Profile::Release);
    for _ in 0..5 {
        let report = program.inspect();
        assert_eq!(report.deadlocks, [], "{report}");
    }
}

#[test]
fn a_program_with_the_name_of_a_runtime_may_wait_for_more_than_its_fields_show() {
    for profile in PROFILES {
        let report = Program::start("flume", profile).inspect_at_rest();
        assert_eq!(report.deadlocks, [], "{report}");
        let first = task(&report, "flume::first");
        assert_eq!(
            tree(first),
            "flume::first @ first\n  flume::WithBell\n    flume::take @ take\n      tokio::sync::Mutex::lock\n"
        );
    }
}
