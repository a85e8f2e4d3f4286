//! Describes what was read from memory.

#[cfg(feature = "http")]
use super::super::inspected::{addresses_in_deadlocks, adds_to_dump};
use super::value::{LazyList, Object, Value};
#[cfg(feature = "http")]
use crate::dump::Dump;
#[cfg(feature = "http")]
use crate::inspect::held_waits;
use crate::inspect::{
    Deadlock, Frame, Held, HeldKind, Holder, Inspection, Missing, Report, Task, TaskState, Wait,
    WaitKind,
};

impl<'a> From<&'a Inspection> for Value<'a> {
    fn from(inspection: &'a Inspection) -> Self {
        let report = inspection.report();
        let tasks = move || inspection.tasks().map(Value::from);
        let read_ns = |report: &Report| (report.source.read_ms * 1e6) as u64;
        let missing = report.map_or(&[][..], |report| &report.missing);
        object!("Inspection", {
            "problem": inspection.problem(),
            "read_ns": report.map(read_ns),
            "deadlocks": LazyList::new(inspection.deadlocks().count(), move || {
                inspection.deadlocks().map(move |it| deadlock(report, it))
            }),
            "missing": LazyList::new(missing.len(), move || missing.iter().map(Value::from)),
            "tasks": LazyList::new(inspection.tasks().count(), tasks),
        })
    }
}

/// The largest number of tasks that the page gets.
#[cfg(feature = "http")]
const MAX_TASKS: usize = 1000;

/// Describes for the page what the dump does not show otherwise, in the same form. `more` counts the untraced tasks that
/// are left out.
#[cfg(feature = "http")]
pub(super) fn for_page<'a>(inspection: &'a Inspection, dump: &'a Dump) -> Value<'a> {
    let report = inspection.report();
    let missing = report.map_or(&[][..], |report| &report.missing);
    let stuck = addresses_in_deadlocks(inspection);
    let is_in_deadlock = |task: &Task| stuck.contains(task.address.as_str());
    let added = inspection.tasks().filter(|task| adds_to_dump(task, dump));
    let mut tasks: Vec<&Task> = added.collect();
    // Those that explain the most are not left out.
    tasks.sort_by_cached_key(|task| (!is_in_deadlock(task), held_waits(task).next().is_none()));
    let left_out = tasks.split_off(tasks.len().min(MAX_TASKS));
    let more = left_out.iter().filter(|task| task.root.is_none()).count();
    object!("PageInspection", {
        "problem": inspection.problem(),
        "deadlocks": LazyList::new(inspection.deadlocks().count(), move || {
            inspection.deadlocks().map(move |it| deadlock(report, it))
        }),
        "missing": LazyList::new(missing.len(), move || missing.iter().map(Value::from)),
        "more": more,
        "tasks": LazyList::new(tasks.len(), move || tasks.clone().into_iter().map(Value::from)),
    })
}

/// Describes a deadlock. `report` has its tasks.
fn deadlock<'a>(report: Option<&'a Report>, deadlock: &'a Deadlock) -> Value<'a> {
    let address = move |index: &usize| {
        let task = report.and_then(|report| report.tasks.get(*index));
        task.map(|task| task.address.as_str())
    };
    object!("Deadlock", {
        "text": deadlock.text.as_str(),
        // Numbers of tasks are missing for some.
        "tasks": LazyList::new(deadlock.indices.len(), move || {
            deadlock.indices.iter().map(address).map(Value::from)
        }),
    })
}

impl<'a> From<&'a Missing> for Value<'a> {
    fn from(missing: &'a Missing) -> Self {
        object!("Missing", {
            "count": missing.count,
            "reason": missing.reason.as_str(),
        })
    }
}

impl<'a> From<&'a Task> for Value<'a> {
    fn from(task: &'a Task) -> Self {
        let frames = flat(&task.frames);
        object!("InspectedTask", {
            "id": task.root,
            "tokio_id": task.id,
            "tokio_runtime": task.runtime,
            "name": task.name.as_str(),
            "state": match task.state {
                TaskState::Suspended => "suspended",
                TaskState::Notified => "notified",
                TaskState::Running => "running",
                TaskState::Finished => "finished",
                TaskState::Blocking => "blocking",
                TaskState::BlockOn => "block_on",
                _ => "unknown",
            },
            "address": task.address.as_str(),
            "problem": task.problem.as_deref(),
            "holds": LazyList::new(task.holds.len(), move || task.holds.iter()),
            "frames": LazyList::new(frames.len(), move || frames.clone().into_iter()),
        })
    }
}

/// A frame with the position of its parent.
#[derive(Clone, Copy)]
struct FlatFrame<'a> {
    parent: Option<usize>,
    frame: &'a Frame,
}

/// Returns the frames of trees, each before its children.
fn flat(frames: &[Frame]) -> Vec<FlatFrame<'_>> {
    let mut pending: Vec<(Option<usize>, &Frame)> =
        frames.iter().rev().map(|frame| (None, frame)).collect();
    let mut all = Vec::new();
    while let Some((parent, frame)) = pending.pop() {
        let at = Some(all.len());
        all.push(FlatFrame { parent, frame });
        pending.extend(frame.children.iter().rev().map(|child| (at, child)));
    }
    all
}

impl<'a> From<FlatFrame<'a>> for Value<'a> {
    fn from(FlatFrame { parent, frame }: FlatFrame<'a>) -> Self {
        object!("InspectedFrame", {
            "parent": parent,
            "name": frame.name.as_str(),
            "file": frame.file.as_deref(),
            "line": frame.line,
            "note": frame.note.as_deref(),
            "wait": frame.wait.as_deref(),
        })
    }
}

impl<'a> From<&'a Wait> for Value<'a> {
    fn from(wait: &'a Wait) -> Self {
        object!("InspectedWait", {
            "kind": match wait.kind {
                WaitKind::Sleep => "sleep",
                WaitKind::Permits => "permits",
                WaitKind::Channel => "channel",
                WaitKind::Oneshot => "oneshot",
                WaitKind::Join => "join",
                WaitKind::JoinSet => "join_set",
                WaitKind::Notify => "notify",
                WaitKind::Socket => "socket",
                WaitKind::Thread => "thread",
                _ => "unknown",
            },
            "text": wait.text.as_str(),
            "address": wait.address.as_deref(),
            "tokio_id": wait.task,
            "holders": LazyList::new(wait.holders.len(), move || wait.holders.iter()),
        })
    }
}

impl<'a> From<&'a Holder> for Value<'a> {
    fn from(holder: &'a Holder) -> Self {
        object!("Holder", {
            "id": holder.root,
            "tokio_id": holder.task,
            "held": &holder.held,
            "waits_for": holder.waits_for.as_deref(),
        })
    }
}

impl<'a> From<&'a Held> for Value<'a> {
    fn from(held: &'a Held) -> Self {
        object!("Held", {
            "kind": match held.kind {
                HeldKind::Mutex => "mutex",
                HeldKind::Read => "read",
                HeldKind::Write => "write",
                HeldKind::Permit => "permit",
                HeldKind::Granted => "granted",
                _ => "unknown",
            },
            "function": held.function.as_str(),
            "file": held.file.as_deref(),
            "line": held.line,
            "variable": held.variable.as_str(),
            "address": held.address.as_str(),
            "is_polled": held.is_polled,
        })
    }
}
