//! Formats what was read from memory: lock holders, likely deadlocks, and the trees of untraced tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use super::header::{self, INDENT};
use super::line_writer::LineWriter;
use crate::diagnosis::Severity;
use crate::dump::{Dump, Hang, Source, Stall, StallPhase, StallReport, TaskDump};
use crate::inspect::{
    Deadlock, Frame, HeldKind, HeldWait, Inspection, Task, TaskState, WaitKind, held_waits, leaves,
};
use crate::task::TaskId;

/// The number of sentences about locks, and of holders in a sentence.
const MAX_NAMED: usize = 3;

/// The number of trees that are shown. Equal trees are shown once.
const MAX_TREES: usize = 100;

/// The number of tasks that are followed from one to the task that it awaits.
const MAX_FOLLOWED: usize = 8;

/// Returns the reason why a test hangs, if memory shows one: a likely deadlock, or a lock that somebody holds.
pub(super) fn cause(hang: &Hang) -> Option<String> {
    let inspection = hang.dump.inspected()?;
    if let Some(deadlock) = inspection.deadlocks().next() {
        return Some(format!("likely deadlock: {}", deadlock.text));
    }
    let waits = waits(inspection, &hang.dump);
    (!waits.is_empty()).then(|| waits.join("; "))
}

/// Returns what memory shows about the cause of a stall, in sentences: the deadlock that the task is in, the holders of
/// the locks that it waits for, the tasks that it awaits, or the untraced tasks that run on its runtime.
pub(super) fn causes_of_stall(report: &StallReport) -> Vec<String> {
    let id = report.task.id();
    let known = || {
        let inspection = report.inspected()?;
        Some((inspection, inspection.get(id)?))
    };
    let (inspection, task) = match known() {
        Some(known) if report.phase == StallPhase::Began => known,
        _ => return Vec::new(),
    };
    if report.kind == Stall::Starved {
        let is_running = |other: &&Task| {
            other.state == TaskState::Running
                && other.runtime.is_some()
                && other.runtime == task.runtime
        };
        let running = inspection.untraced().filter(is_running);
        let sentences = running.map(|other| format!("{} is running", other.title));
        return sentences.take(MAX_NAMED).collect();
    }
    let is_in = |deadlock: &&Deadlock| {
        let mut tasks = inspection.tasks_of(deadlock);
        tasks.any(|other| other.root == Some(id.get()))
    };
    if let Some(deadlock) = inspection.deadlocks().find(is_in) {
        return vec![format!("likely deadlock: {}", deadlock.text)];
    }
    let waits = held_waits(task).map(|wait| waits_for_lock(task, wait));
    let mut sentences: Vec<String> = waits.take(MAX_NAMED).collect();
    sentences.extend(awaited(inspection, id));
    sentences
}

/// Follows the `JoinHandle`s that a task awaits to untraced tasks, and returns what each of these tasks waits for.
pub(super) fn awaited(inspection: &Inspection, task: TaskId) -> Option<String> {
    let mut task = inspection.get(task)?;
    let mut text = String::new();
    for _ in 0..MAX_FOLLOWED {
        let joined = leaves(task).into_iter().find_map(|leaf| {
            let wait = leaf.resource.wait.as_ref()?;
            let id = wait.task.filter(|_| wait.kind == WaitKind::Join)?;
            inspection.of_tokio(id)
        });
        task = match joined {
            Some(joined) if joined.root.is_none() => joined,
            _ => break,
        };
        if !text.is_empty() {
            text.push_str("; ");
        }
        let waits = leaves(task).into_iter().find_map(|leaf| {
            let resource = with_state(leaf.resource);
            Some(format!("is waiting on {resource}{}", at(leaf.function?)))
        });
        let waits = match (waits, task.state) {
            (Some(waits), _) => waits,
            (None, TaskState::Running) => "is running".to_owned(),
            (None, _) => "is not known".to_owned(),
        };
        text.push_str(&format!("{} {waits}", task.title));
    }
    (!text.is_empty()).then_some(text)
}

/// Returns a sentence about each wait for a lock that somebody holds, the nearest first: `shop::sell at src/main.rs:20
/// is waiting on tokio::sync::Mutex::lock, held by task 7 in shop::restock at src/stock.rs:31`.
fn waits(inspection: &Inspection, dump: &Dump) -> Vec<String> {
    // The traced tasks are those of the test, and the first is its body.
    let mut tasks: Vec<&Task> = inspection.tasks().collect();
    tasks.sort_by_key(|task| {
        let is_dumped = |root| dump.get(TaskId::from_number(root)).is_some();
        (!task.root.is_some_and(is_dumped), task.root, task.id)
    });
    let waits = tasks.into_iter().flat_map(|task| {
        // Tasks often wait for permits of a pool, which explains only the hang of a task that the test knows.
        let is_lock = |wait: &HeldWait<'_>| {
            let mut holders = wait.holders.iter();
            task.root.is_some() || holders.any(|it| it.held.kind != HeldKind::Permit)
        };
        let sentence = |wait| waits_for_lock(task, wait);
        let waits = held_waits(task).filter(is_lock);
        waits.map(sentence).collect::<Vec<_>>()
    });
    let mut sentences: Vec<String> = waits.collect();
    let all = sentences.len();
    sentences.truncate(MAX_NAMED);
    if all > MAX_NAMED {
        let more = all - MAX_NAMED;
        let waits = if more == 1 { "wait" } else { "waits" };
        sentences.push(format!("{more} more {waits} for locks"));
    }
    sentences
}

fn waits_for_lock(task: &Task, wait: HeldWait<'_>) -> String {
    let subject = match wait.leaf.function {
        Some(function) => format!("{}{}", function.name, at(function)),
        None => task.title.clone(),
    };
    let mut text = format!("{subject} is waiting on {}", wait.leaf.resource.name);
    for holder in wait.holders.iter().take(MAX_NAMED) {
        text.push_str(&format!(", {holder}"));
    }
    if wait.holders.len() > MAX_NAMED {
        text.push_str(&format!(", and {} more", wait.holders.len() - MAX_NAMED));
    }
    text
}

/// Returns the line of a frame: ` at src/main.rs:20`.
fn at(frame: &Frame) -> String {
    match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!(" at {file}:{line}"),
        _ => String::new(),
    }
}

/// Returns a resource with its state and its holder.
fn with_state(resource: &Frame) -> String {
    let Some(wait) = &resource.wait else {
        return resource.name.to_string();
    };
    match wait.holders.first() {
        Some(holder) => format!("{}, {holder}", resource.name),
        None => format!("{} ({})", resource.name, wait.text),
    }
}

/// Writes what was read from memory for a dump: findings first, then the trees of tasks that the dump does not show
/// otherwise.
pub(super) fn write(out: &mut LineWriter<'_, '_>, dump: &Dump) -> fmt::Result {
    let Some(inspection) = dump.inspected() else {
        return Ok(());
    };
    let Some(report) = inspection.report() else {
        return match inspection.problem() {
            Some(problem) => {
                out.line("")?;
                write!(out, "note: memory was not read: {problem}")
            }
            None => Ok(()),
        };
    };
    let stuck = addresses_in_deadlocks(inspection);
    let is_stuck = |task: &Task| stuck.contains(task.address.as_str());
    let mut tasks: Vec<&Task> = inspection
        .tasks()
        .filter(|task| is_stuck(task) || adds_to_dump(task, dump))
        .collect();
    tasks.sort_by_cached_key(|task| (!is_stuck(task), held_waits(task).next().is_none()));
    let untraced = inspection.untraced().count();
    let nouns = if untraced == 1 {
        "task that is"
    } else {
        "tasks that are"
    };
    out.line("")?;
    out.line("")?;
    write!(
        out,
        "read from memory in {:.0} ms: {untraced} {nouns} not traced",
        report.source.read_ms
    )?;
    for deadlock in inspection.deadlocks() {
        out.line("")?;
        header::mark(out, Severity::InCycle)?;
        write!(out, "likely deadlock: {}", deadlock.text)?;
    }
    for missing in &report.missing {
        out.line("")?;
        write!(out, "missing {}: {}", missing.count, missing.reason)?;
    }
    let groups = groups(tasks);
    for group in groups.iter().take(MAX_TREES) {
        write_group(out, group, is_stuck(group.tasks[0]))?;
    }
    let more = groups.iter().skip(MAX_TREES);
    match more.map(|group| group.tasks.len()).sum::<usize>() {
        0 => Ok(()),
        more => {
            out.line("")?;
            out.line("")?;
            let tasks = if more == 1 { "task is" } else { "tasks are" };
            write!(out, "{more} more {tasks} not shown")
        }
    }
}

/// Returns the addresses of the tasks in likely deadlocks.
pub(super) fn addresses_in_deadlocks(inspection: &Inspection) -> BTreeSet<&str> {
    let deadlocks = inspection.deadlocks();
    let tasks = deadlocks.flat_map(|deadlock| inspection.tasks_of(deadlock));
    tasks.map(|task| task.address.as_str()).collect()
}

/// Returns `true` if memory says more about a task than the dump: if it is not traced or did not answer, or if it waits
/// for a lock that somebody holds.
pub(super) fn adds_to_dump(task: &Task, dump: &Dump) -> bool {
    let Some(root) = task.root else {
        return true;
    };
    let answered = |task: &TaskDump| *task.source() == Source::Capture;
    let dumped = dump.get(TaskId::from_number(root));
    dumped.is_some_and(|task| !answered(task)) || held_waits(task).next().is_some()
}

/// Tasks with the same text.
struct Group<'a> {
    tasks: Vec<&'a Task>,
    /// The lines below the first.
    tree: String,
}

/// Groups tasks of the same name with the same tree, in the order of the first of each group.
fn groups(tasks: Vec<&Task>) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut known: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for task in tasks {
        let text = task.to_string();
        let (first, tree) = text.split_once('\n').unwrap_or((&text, ""));
        let state = first.strip_prefix(task.title.as_str()).unwrap_or(first);
        let key = (task.name.as_str(), format!("{state}\n{tree}"));
        match known.get(&key) {
            Some(at) => groups[*at].tasks.push(task),
            None => {
                known.insert(key, groups.len());
                groups.push(Group {
                    tasks: vec![task],
                    tree: tree.to_owned(),
                });
            }
        }
    }
    groups
}

fn write_group(out: &mut LineWriter<'_, '_>, group: &Group<'_>, is_stuck: bool) -> fmt::Result {
    out.line("")?;
    out.line("")?;
    if is_stuck {
        header::mark(out, Severity::InCycle)?;
    }
    let first = group.tasks[0];
    out.bold()?;
    match group.tasks.len() {
        1 => out.write_str(&first.title)?,
        count => write!(out, "{count} tasks {}", first.name)?,
    }
    out.normal()?;
    write!(out, ", {}", state(first.state))?;
    let ids: Vec<u64> = group.tasks.iter().filter_map(|task| task.id).collect();
    if group.tasks.len() > 1 && !ids.is_empty() {
        out.line(INDENT)?;
        out.write_str("tokio tasks ")?;
        header::list(out, ids.iter())?;
    }
    for line in group.tree.lines() {
        out.line("")?;
        out.write_str(line)?;
    }
    Ok(())
}

fn state(state: TaskState) -> &'static str {
    match state {
        TaskState::Suspended => "suspended",
        TaskState::Notified => "woken, not polled yet",
        TaskState::Running => "running",
        TaskState::Finished => "finished",
        TaskState::Blocking => "blocking",
        TaskState::BlockOn => "in block_on",
        _ => "in an unknown state",
    }
}
