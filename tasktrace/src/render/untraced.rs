//! Words how many tasks are not traced, on which runtimes, and how to trace them.

use std::fmt::Write;

use crate::dump::{Dump, UntracedTasks};
use crate::trace::{Tree, all_frames_of};

/// The largest number of runtimes that are named.
const FEW: usize = 5;

/// The advice on how to make a task visible.
pub(crate) const ADVICE: &str = "to see them: `tasktrace::spawn` instead of `tokio::spawn`, or \
                                 `#[traced]` on their function";

/// Returns a hint on how to trace a task of tokio that is awaited by its handle. `None` for any other resource.
pub(super) fn awaited(resource: &str, dump: &Dump) -> Option<&'static str> {
    if !is_handle(resource) {
        return None;
    }
    Some(match dump.untraced_by_runtime() {
        // All tasks of the tracker may have ended.
        [] if resource.contains("TaskTracker") => {
            "it ends when all its tasks have ended and `close` was called"
        }
        [] => {
            "it belongs to `spawn_blocking`, or to a task: spawn tasks with `tasktrace::spawn` instead of \
             `tokio::spawn` to see them"
        }
        _ => {
            "the awaited task is not traced: spawn it with `tasktrace::spawn`, or put `#[traced]` on its function, \
             to see where it waits"
        }
    })
}

/// Returns `true` if a resource is a handle of a task of tokio, or a set of such handles.
fn is_handle(resource: &str) -> bool {
    let handles = ["JoinHandle", "JoinSet", "JoinMap", "TaskTracker"];
    resource.starts_with("tokio") && handles.iter().any(|name| resource.contains(name))
}

/// Returns `true` if a leaf of a tree waits for a task of tokio by its handle.
pub(super) fn awaits_handle(tree: &Tree) -> bool {
    let mut resources = all_frames_of(&tree.frames).filter(|frame| frame.is_resource());
    resources.any(|frame| is_handle(frame.name()))
}

/// The resource of tasks that wait for a handle of tokio, with a hint on how to trace the awaited task.
pub(super) const HANDLES: &str = "a tokio join handle, of `spawn_blocking` or of a task: spawn tasks with \
                                  `tasktrace::spawn` instead of `tokio::spawn` to see their names";

/// Returns the numbers of untraced tasks and the hints on how to trace them, in one line. `None` if all tasks are
/// traced and no task waits for a handle of tokio.
#[cfg(feature = "http")]
pub(super) fn note(dump: &Dump, awaits_handle: bool) -> Option<String> {
    let sentences = sentences(dump).map(|sentences| format!("{sentences}; {ADVICE}"));
    let handles = awaits_handle.then(|| format!("some wait for {HANDLES}"));
    match (sentences, handles) {
        (Some(sentences), Some(handles)) => Some(format!("{sentences}; {handles}")),
        (sentences, handles) => sentences.or(handles),
    }
}

/// Returns the number of untraced tasks on each runtime: `5 more tokio tasks on the runtime of task 1 are not traced`.
/// `None` if all tasks are traced.
pub(crate) fn sentences(dump: &Dump) -> Option<String> {
    let untraced = dump.untraced_by_runtime();
    let more = if dump.is_empty() { "" } else { "more " };
    let mut text = String::new();
    for (at, untraced) in untraced.iter().take(FEW).enumerate() {
        let before = if at > 0 { "; " } else { "" };
        let place = match untraced.runtime_of() {
            Some(task) => format!("the runtime of task {task}"),
            None => "this runtime".to_owned(),
        };
        let (tasks, are) = match untraced.count() {
            1 => ("task", "is"),
            _ => ("tasks", "are"),
        };
        let count = untraced.count();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{before}{count} {more}tokio {tasks} on {place} {are} not traced"
        );
    }
    if let Some(others @ [_, ..]) = untraced.get(FEW..) {
        let count: usize = others.iter().map(UntracedTasks::count).sum();
        let runtimes = match others.len() {
            1 => "another runtime".to_owned(),
            several => format!("{several} other runtimes"),
        };
        let _ = write!(text, "; {count} more on {runtimes}");
    }
    (!text.is_empty()).then_some(text)
}
