//! Tests the first lines of a dump.

use super::*;

/// Asserts the first line of a dump.
#[track_caller]
fn check_counts(dump: &Dump, expected: &str) {
    let text = dump.to_string();
    assert_eq!(text.lines().next(), Some(expected));
}

fn tasks(count: u64, like: fn(TaskDump) -> TaskDump, from: u64) -> Vec<TaskDump> {
    (from..from + count)
        .map(|id| like(task(id, "app::work")))
        .collect()
}

#[test]
fn each_state_with_tasks_is_counted() {
    let mut all = tasks(38, |task| task, 1);
    all.extend(tasks(1, |task| task.running_for(0.001), 39));
    all.extend(tasks(2, TaskDump::never_polled, 40));
    check_counts(
        &Dump::new(all.clone(), Some(12)),
        "41 tasks: 38 suspended, 1 running, 2 never polled; 12 more tokio tasks on this runtime are not traced",
    );
    all.extend(tasks(3, TaskDump::woken, 42));
    all.extend(tasks(4, TaskDump::finished, 45));
    check_counts(
        &Dump::new(all, None),
        "48 tasks: 38 suspended, 1 running, 2 never polled, 3 woken but not yet polled, 4 finished",
    );
}

#[test]
fn untraced_tasks_of_several_runtimes_are_printed() {
    use crate::dump::UntracedTasks;

    let untraced = |first: u64, count| UntracedTasks::new(Some(id(first)), count);
    let main = || dump([task(1, "app::main")]);
    let two = main().with_untraced_tasks(vec![untraced(1, 5), untraced(9, 1)]);
    check_counts(
        &two,
        "1 task: 1 suspended; 5 more tokio tasks on the runtime of task 1 are not traced; 1 more tokio task on the runtime of task 9 is not traced",
    );
    let text = two.to_string();
    assert_eq!(
        text.lines().nth(1),
        Some(
            "to see them: `tasktrace::spawn` instead of `tokio::spawn`, or `#[traced]` on their function"
        )
    );
    let many = (1..=9).map(|first| untraced(first, 2)).collect();
    let many = main().with_untraced_tasks(many).to_string();
    let first = many.lines().next().unwrap_or_default();
    assert!(first.ends_with("on the runtime of task 5 are not traced; 8 more on 4 other runtimes"));
}

#[test]
fn one_task_and_no_tasks_are_worded() {
    check_counts(
        &Dump::new(vec![task(1, "app::main")], Some(0)),
        "1 task: 1 suspended",
    );
    check_counts(
        &Dump::new(vec![task(1, "app::main")], Some(1)),
        "1 task: 1 suspended; 1 more tokio task on this runtime is not traced",
    );
    check_counts(&dump([]), "no traced tasks");
    check_counts(
        &Dump::new(Vec::new(), Some(1)),
        "no traced tasks; 1 tokio task on this runtime is not traced",
    );
}

/// The resource of tasks that wait for a handle of tokio.
const HANDLES: &str = "a tokio join handle, of `spawn_blocking` or of a task: spawn tasks with `tasktrace::spawn` \
                       instead of `tokio::spawn` to see their names";

/// Returns a task that waits for a handle of tokio.
fn joins(number: u64) -> TaskDump {
    let handle = Frame::sample("tokio::task::JoinHandle", 99).into_resource();
    task(number, "app::main").at([Frame::sample("app::main", 1).with_children([handle])])
}

#[test]
fn tasks_that_wait_for_handles_of_tokio_are_listed_with_a_hint() {
    let line = |dump: &Dump| dump.to_string().lines().nth(1).map(str::to_owned);
    assert_eq!(
        line(&dump([joins(1)])),
        Some(format!("task 1 waits for {HANDLES}"))
    );
    let dump = dump([joins(1), joins(2), task(3, "app::other")]);
    assert_eq!(line(&dump), Some(format!("tasks 1, 2 wait for {HANDLES}")));
}

/// Tasks are not grouped in full detail, so each is checked by its own tree.
#[test]
fn full_detail_lists_the_same_tasks_that_wait_for_handles() {
    let line = |dump: &Dump| format!("{dump:#}").lines().nth(1).map(str::to_owned);
    let other = task(1, "app::other").at([Frame::sample("app::other", 1)]);
    assert_eq!(
        line(&dump([other.clone(), joins(2)])),
        Some(format!("task 2 waits for {HANDLES}"))
    );
    assert_eq!(
        line(&dump([joins(1), other])),
        Some(format!("task 1 waits for {HANDLES}"))
    );
}
