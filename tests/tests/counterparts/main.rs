//! Does with tasktrace what async-backtrace and await-tree show in their documentation, examples and tests. Each module
//! is the counterpart of one example or test of theirs; the tables in `tasktrace/docs/coming_from.md` list the pairs.

mod async_backtrace;
mod await_tree;
#[path = "../live/support.rs"]
mod support;

use tasktrace::{Dump, TaskDump, TaskState, TraceHandle};

use support::outline;

/// Returns the tasks of one test's module: tests run in parallel, and a dump contains all tasks of the process.
fn tasks_of<'a>(dump: &'a Dump, module: &str) -> Vec<&'a TaskDump> {
    let is_in = |task: &&TaskDump| task.name().contains(&format!("{module}::"));
    dump.tasks().filter(is_in).collect()
}

/// Returns the trees of the tasks of one test's module.
fn outlines(dump: &Dump, module: &str) -> Vec<String> {
    let tasks = tasks_of(dump, module);
    tasks.iter().map(|task| outline(task.trace())).collect()
}

/// Yields until `task` is suspended.
async fn suspended(task: &TraceHandle) {
    while task.state() != TaskState::Suspended {
        tokio::task::yield_now().await;
    }
}
