//! What async-backtrace and await-tree show in their documentation, examples and tests, done with
//! tasktrace: a module for each of them here is one of them there. The table in
//! `tasktrace/docs/coming_from.md` says which.

mod async_backtrace;
mod await_tree;
#[path = "../live/support.rs"]
mod support;

use tasktrace::{Dump, TaskDump, TaskState, TraceHandle};

use support::outline;

/// The tasks of one test: a dump is of all tasks of the process, and tests run side by side.
fn tasks_of<'a>(dump: &'a Dump, module: &str) -> Vec<&'a TaskDump> {
    let is_in = |task: &&TaskDump| task.name().contains(&format!("{module}::"));
    dump.tasks().filter(is_in).collect()
}

/// The trees of the tasks of one test.
fn outlines(dump: &Dump, module: &str) -> Vec<String> {
    let tasks = tasks_of(dump, module);
    tasks.iter().map(|task| outline(task.trace())).collect()
}

/// Lets others run until the task waits.
async fn suspended(task: &TraceHandle) {
    while task.state() != TaskState::Suspended {
        tokio::task::yield_now().await;
    }
}
