//! Tasks of async-executor.

use std::fs;

use tasktrace_inspect::{Options, Report, TaskState, inspect_core, inspect_process};

use crate::core_file;
use crate::program::{PROFILES, Profile, Program, target};
use crate::tree::{check, leaf, state, task, tree};

const TREES: &[&str] = &[
    "executor::receives @ receives\n  async_channel::Receiver::recv",
    "executor::sleeps @ sleeps\n  executor::naps @ naps\n    async_io::Timer",
    "executor::holds @ holds\n  std::future::Pending",
    "executor::locks @ locks\n  async_lock::Mutex::lock",
    "executor::is_large @ is_large\n  std::future::Pending",
    "executor::awaits @ awaits\n  async_task::Task",
];

fn is_complete(report: &Report) -> bool {
    let mut tasks = report.tasks.iter();
    let is_at_rest = |state| matches!(state, TaskState::Suspended | TaskState::BlockOn);
    tasks.all(|task| is_at_rest(task.state)) && report.deadlocks.len() == 1
}

fn check_tasks(report: &Report) {
    check(report, TREES);
    assert_eq!(state(task(report, "executor::awaits")), "executor::sleeps");
    let locks = task(report, "executor::locks").to_string();
    let holder = "(locked; held by a task in executor::holds at ";
    assert!(locks.contains(holder), "{locks}");
    // Tasks that have ended are not shown.
    let tasks = report.tasks.iter();
    let tasks = tasks.filter(|task| task.state == TaskState::Suspended);
    assert_eq!(tasks.count(), TREES.len() + 2, "{report}");
}

fn check_deadlock(report: &Report) {
    let [deadlock] = report.deadlocks.as_slice() else {
        panic!("{report}");
    };
    let waits = "executor::locks_both waits for async_lock::Mutex::lock, held by a task in \
                 executor::locks_both at ";
    assert!(deadlock.text.starts_with(waits), "{}", deadlock.text);
}

#[test]
fn each_task_is_shown_with_its_line_and_its_resource() {
    for profile in PROFILES {
        let program = Program::start("executor", profile);
        let report = program.inspect_until(is_complete);
        check_tasks(&report);
        check_deadlock(&report);
        assert_eq!(report.missing, []);
        let path = target().join("tmp").join(format!("core.{}", program.pid()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, core_file::of(program.pid())).unwrap();
        drop(program);
        let report = inspect_core(&path, &Options::default()).unwrap();
        fs::remove_file(&path).unwrap();
        // No deadlock is expected: a core file does not say which part of a stack is in use, so old pointers to the
        // locks on a stack speak against it.
        check_tasks(&report);
    }
}

#[test]
fn tasks_beyond_the_limit_are_counted() {
    let program = Program::start("executor", Profile::Dev);
    let all = program.inspect_until(is_complete);
    let tasks = all.tasks.iter();
    let tasks = tasks.filter(|task| task.state == TaskState::Suspended);
    let mut options = Options::default();
    options.limits.tasks = 2;
    let report = inspect_process(program.pid(), &options).unwrap();
    let mut missing = report.missing.iter();
    let missing = missing.find(|it| it.reason == "there are too many tasks");
    let count = missing.map(|missing| missing.count);
    assert_eq!(count, Some(tasks.count() - 2), "{report}");
}

#[test]
fn a_lock_whose_owned_guard_is_kept_elsewhere_is_no_deadlock() {
    for profile in PROFILES {
        let report = Program::start("kept", profile).inspect_at_rest();
        let text = report.to_string();
        let tasks = report.tasks.iter().map(ToString::to_string);
        // Their variables look like guards.
        let held = tasks.filter(|task| task.contains("held by a task in kept::keeps"));
        assert_eq!(held.count(), 4, "{text}");
        assert_eq!(report.deadlocks, [], "{text}");
    }
}

#[test]
fn a_future_of_a_library_is_told_from_one_of_the_same_path_in_the_program() {
    for profile in PROFILES {
        let report = Program::start("tasktrace-inspect-programs", profile).inspect_at_rest();
        for source in ["main.rs", "lib.rs"] {
            let inner = match source {
                "main.rs" => "in_program",
                _ => "in_library",
            };
            let is_whole = |task: &String| task.contains(source) && task.contains(inner);
            let mut tasks = report.tasks.iter().map(ToString::to_string);
            assert!(tasks.any(|task| is_whole(&task)), "{report}");
        }
    }
}

/// The debug info describes the guards by the bodies of the functions, since another variable has the same name.
#[test]
fn a_method_of_a_library_is_told_from_one_of_the_same_path_in_the_program() {
    for profile in PROFILES {
        let report = Program::start("tasktrace-inspect-programs", profile).inspect_at_rest();
        for (waiter, holder) in [
            ("waits_for_cart", "Cart::restock"),
            ("waits_for_stock", "Stock::restock"),
        ] {
            let holding = task(&report, holder);
            assert_eq!(
                tree(holding),
                format!("{holder} @ {holder}\n  std::future::Pending\n")
            );
            let wait = leaf(task(&report, waiter)).wait.as_ref().unwrap();
            let [held_by] = wait.holders.as_slice() else {
                panic!("{waiter} {profile:?}\n{report}");
            };
            assert!(held_by.held.function.ends_with(holder), "{report}");
        }
    }
}
