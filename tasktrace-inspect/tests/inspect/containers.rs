//! Guards in containers, and waits for one of several tasks.

use tasktrace_inspect::Report;

use crate::program::{PROFILES, Program};
use crate::tree::{check, leaf, state, task};

/// Returns the functions that hold the locks for which the tasks wait that run a function.
fn holders<'r>(report: &'r Report, name: &str) -> Vec<&'r str> {
    let waiters = report.tasks.iter().filter(|task| task.name == name);
    let holders = waiters.flat_map(|task| &leaf(task).wait.as_ref().unwrap().holders);
    let mut functions: Vec<_> = holders.map(|it| it.held.function.as_str()).collect();
    functions.sort_unstable();
    functions
}

#[test]
fn guards_in_containers_that_a_task_owns_are_found() {
    for profile in PROFILES {
        let program = Program::start("containers", profile);
        let report = program.inspect_at_rest();
        assert_eq!(
            holders(&report, "containers::waiter"),
            [
                "containers::in_arc",
                "containers::in_hash_map",
                "containers::in_linked_list",
                "containers::in_messages",
                "containers::in_messages_of_futures",
                "containers::in_oneshot",
                "containers::in_ring",
                "containers::in_slots",
                "containers::in_small_vec",
                "containers::in_spilled_small_vec",
                "containers::in_tree_map",
                "containers::in_vec"
            ],
            "{report}"
        );
        let holds = |name: &str| task(&report, name).holds.len();
        assert_eq!(holds("containers::in_ring"), 1, "{report}");
        assert_eq!(holds("containers::in_shared"), 0, "{report}");
    }
}

#[test]
fn guards_in_a_list_that_is_a_union_are_found() {
    for profile in PROFILES {
        let program = Program::start("smallvec", profile);
        let report = program.inspect_at_rest();
        for name in ["smallvec::waits_for_inline", "smallvec::waits_for_spilled"] {
            assert_eq!(holders(&report, name), ["smallvec::keep"], "{report}");
        }
    }
}

#[test]
fn futures_in_a_list_are_shown() {
    for profile in PROFILES {
        let program = Program::start("containers", profile);
        let report = program.inspect_at_rest();
        let element = "\n    containers::element @ element\n      tokio::time::sleep";
        let tree = |name: &str| format!("containers::{name} @ {name}\n  containers::All{element}");
        let spilled = tree("polls_spilled_small_vec") + element + element;
        check(&report, &[&tree("polls_small_vec"), &spilled]);
    }
}

#[test]
fn a_set_of_tasks_that_wait_for_the_lock_of_their_parent_is_a_deadlock() {
    for profile in PROFILES {
        let program = Program::start("joined", profile);
        let report = program.inspect_at_rest();
        let parent = task(&report, "joined::parent");
        let [deadlock] = report.deadlocks.as_slice() else {
            panic!("{report}");
        };
        assert_eq!(deadlock.tasks.len(), 2);
        assert!(deadlock.tasks.contains(&parent.id), "{report}");
        assert!(
            deadlock
                .text
                .contains("waits for tokio::task::JoinSet::join_next of task"),
            "{}",
            deadlock.text
        );
    }
}

#[test]
fn waiters_for_a_notification_have_their_places_in_the_queue() {
    for profile in PROFILES {
        let program = Program::start("containers", profile);
        let report = program.inspect_at_rest();
        let listeners = report
            .tasks
            .iter()
            .filter(|task| task.name == "containers::listener");
        let mut states: Vec<&str> = listeners.map(state).collect();
        states.sort_unstable();
        let expected =
            [1, 2, 3].map(|place| format!("not notified yet, place {place} of 3 in the queue"));
        assert_eq!(states, expected, "{report}");
    }
}
