//! What a watchdog reports.
//!
//! ```text
//! task 7 app::worker "conn 1" has blocked tokio-rt-worker (thread 4711) for 1.2s, in a single poll: app::parse at src/parse.rs:10:5
//!   ╼ app::worker "conn 1" at src/main.rs:20:5 (3.0s)
//!    └╼ app::parse at src/parse.rs:10:5
//! ```

use std::fmt::{self, Write};

use super::duration::Human;
use super::group::{Group, Member};
use super::header::{self, INDENT};
use super::out::{Detail, Out};
use super::outline::Outline;
use super::urgency::Urgency;
use super::walk::walk;
use super::{dump, tree};
use crate::dump::{Source, Stall, StallPhase, StallReport, TaskDump};
use crate::symbol::Paths;
use crate::task::TaskState;
use crate::trace::{Frame, Tree, Wait};

pub(super) fn write(report: &StallReport, detail: Detail, out: &mut Out<'_, '_>) -> fmt::Result {
    let tree = tree(report.task.trace(), detail);
    let member = Member {
        task: &report.task,
        outline: Outline::of(tree),
        detail,
        urgency: Urgency::Suspended,
    };
    out.line("")?;
    verdict(out, report, tree)?;
    let group = Group::new(vec![member]);
    dump::tree(out, INDENT, &group, detail)?;
    dump::missing(out, &group.members)
}

/// What is wrong, in one line.
fn verdict(out: &mut Out<'_, '_>, report: &StallReport, tree: &Tree) -> fmt::Result {
    let StallReport { kind, phase, .. } = report;
    let task = &report.task;
    let time = Human(report.duration);
    if report.function.as_ref().is_some_and(|it| !it.is_task) {
        out.write_str("a function of ")?;
    }
    header::name(out, task)?;
    match (kind, phase) {
        (Stall::Blocked, StallPhase::Began) => {
            out.write_str(" has blocked ")?;
            thread(out, task)?;
            write!(out, " for {time}, in a single poll")?;
            innermost(out, task, tree)
        }
        (Stall::Blocked, StallPhase::Ended) => {
            out.write_str(" no longer blocks ")?;
            thread(out, task)?;
            write!(out, ": it did for {time}")
        }
        (Stall::Starved, StallPhase::Began) => {
            match task.state() {
                TaskState::NeverPolled => {
                    write!(out, " was made {time} ago, but has never been polled")?;
                }
                _ => write!(
                    out,
                    " is ready, but its executor has not polled it for {time}"
                )?,
            }
            match report.blocked_by {
                Some(other) => write!(out, ": task {other} blocks the thread that polled it last"),
                None => Ok(()),
            }
        }
        (Stall::Starved, StallPhase::Ended) => {
            write!(out, " no longer waits to be polled: it did for {time}")
        }
        (Stall::Overdue, StallPhase::Began) => {
            let limit = report.limit;
            write!(
                out,
                " has been suspended for {time}, longer than its limit of {limit:?}"
            )?;
            function(out, report)
        }
        (Stall::Overdue, StallPhase::Ended) => {
            write!(out, " is no longer suspended: it was for {time}")?;
            function(out, report)
        }
    }
}

/// `tokio-rt-worker (thread 4711)`.
fn thread(out: &mut Out<'_, '_>, task: &TaskDump) -> fmt::Result {
    match task.state() {
        TaskState::Running(running) => header::thread_of(out, running),
        // The poll ended while this was being found out.
        _ => out.write_str("its thread"),
    }
}

/// The function in which the poll is, and what blocks it, as far as that is known: a snapshot has the
/// functions in which the task was suspended before it, of which only the outermost is sure to be on
/// the stack.
fn innermost(out: &mut Out<'_, '_>, task: &TaskDump, tree: &Tree) -> fmt::Result {
    let steps: Vec<_> = walk(&tree.frames).collect();
    let running = steps
        .iter()
        .find(|step| step.frame.wait() == Some(Wait::Running));
    let (function, blocking) = match (running, task.source()) {
        (Some(leaf), _) if leaf.frame.is_resource() => {
            let parent = leaf.parent.map(|parent| steps[parent].frame);
            (parent, Some(leaf.frame.name()))
        }
        (Some(leaf), _) => (Some(leaf.frame), None),
        (None, Source::Snapshot { .. }) => (tree.frames.first(), None),
        (None, _) => (steps.last().map(|step| step.frame), None),
    };
    if let Some(function) = function {
        place(out, function)?;
    }
    match blocking {
        Some(blocking) => write!(out, ", in {blocking}"),
        None => Ok(()),
    }
}

fn place(out: &mut Out<'_, '_>, frame: &Frame) -> fmt::Result {
    let Some(file) = frame.file() else {
        return Ok(());
    };
    write!(out, ": {}", frame.name())?;
    write!(out, " at {file}")?;
    for number in [frame.line(), frame.column()].into_iter().flatten() {
        write!(out, ":{number}")?;
    }
    Ok(())
}

/// The function that is overdue.
fn function(out: &mut Out<'_, '_>, report: &StallReport) -> fmt::Result {
    let Some(function) = &report.function else {
        return Ok(());
    };
    write!(out, ": {}", function.name)?;
    match &function.label {
        // That of the task has been said.
        Some(label) if !function.is_task => write!(out, " {label:?}")?,
        _ => {}
    }
    let file = Paths::new().shorten(function.file).into_owned();
    write!(out, " at {file}:{}:{}", function.line, function.column)
}
