//! Several runtimes, local tasks, blocking closures, and futures that threads block on.

use tasktrace_inspect::{Report, Task, TaskState};

use crate::program::{PROFILES, Profile, Program};
use crate::tree::{check, leaf, state, task};

const TREES: &[&str] = &[
    "runtimes::local_task @ local_task\n  tokio::time::sleep",
    "runtimes::barrier @ barrier\n  tokio::sync::Barrier::wait",
    "runtimes::once @ once\n  runtimes::init @ init\n    tokio::time::sleep",
    "runtimes::second @ second\n  tokio::sync::OnceCell::get_or_init",
    "runtimes::subscriber @ subscriber\n  tokio::sync::broadcast::Receiver::recv",
    "runtimes::joins_blocking @ joins_blocking\n  tokio::task::JoinHandle",
    "runtimes::joins_queued @ joins_queued\n  tokio::task::JoinHandle",
    "runtimes::joins_computing @ joins_computing\n  tokio::task::JoinHandle",
];

/// The futures that threads block on.
const BLOCKED: &[&str] = &[
    "runtimes::local_root @ local_root\n  tokio::time::sleep",
    "runtimes::root @ root\n  tokio::time::sleep",
];

#[test]
fn the_tasks_of_all_runtimes_are_listed() {
    for profile in PROFILES {
        let program = Program::start("runtimes", profile);
        // Optimised programs need not keep pointers to what they block on.
        let blocked = match profile {
            Profile::Dev => BLOCKED,
            Profile::Release => &BLOCKED[..1],
        };
        let report = program.inspect_until(|report| {
            let are = |state| report.tasks.iter().filter(move |task| task.state == state);
            let moving = are(TaskState::Running).chain(are(TaskState::Notified));
            are(TaskState::BlockOn).count() >= blocked.len() && moving.count() == 0
        });
        check(&report, TREES);
        check(&report, blocked);
        // Those of the two runtimes, and the local set.
        assert_eq!(report.runtimes, 2, "{report}");
        assert_eq!(report.missing, []);
        let subscriber = task(&report, "runtimes::subscriber");
        assert_eq!(state(subscriber), "0 of 4 messages, 1 sender");
        let second = leaf(task(&report, "runtimes::second"));
        let wait = second.wait.as_ref().unwrap();
        assert_eq!(wait.text, "being initialized");
        let [holder] = wait.holders.as_slice() else {
            panic!("{report}");
        };
        assert_eq!(holder.held.function, "runtimes::once");
        assert!(holder.held.file.as_ref().unwrap().ends_with("runtimes.rs"));
        for (name, thread) in [
            ("runtimes::joins_blocking", "running"),
            ("runtimes::joins_computing", "running"),
            (
                "runtimes::joins_queued",
                "not started, place 1 of 1 in the queue of a pool with 1 of 1 threads, 0 idle",
            ),
        ] {
            let blocking = task_of(&report, name, TaskState::Blocking);
            assert_eq!(leaf(blocking).name, "tokio::task::spawn_blocking");
            assert_eq!(state(blocking), thread);
            let awaited = state(task_of(&report, name, TaskState::Suspended));
            let id = blocking.id.unwrap();
            assert_eq!(awaited, format!("task {id} {name}, {thread}"));
        }
        let root = task(&report, "runtimes::local_root");
        assert_eq!(root.state, TaskState::BlockOn);
    }
}

fn task_of<'r>(report: &'r Report, name: &str, state: TaskState) -> &'r Task {
    let is_it = |task: &&Task| task.name == name && task.state == state;
    let mut tasks = report.tasks.iter();
    tasks.find(is_it).unwrap_or_else(|| panic!("{report}"))
}
