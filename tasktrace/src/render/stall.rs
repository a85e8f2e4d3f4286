//! Writes the reports of a watchdog.
//!
//! ```text
//! task 7 app::worker "conn 1" has blocked tokio-rt-worker (thread 4711) for 1.2s, in a single poll: app::parse at src/parse.rs:10:5
//!   ╼ app::worker "conn 1" at src/main.rs:20:5 (3.0s)
//!    └╼ app::parse at src/parse.rs:10:5
//! ```

use std::fmt::{self, Write};

use super::duration::HumanDuration;
use super::group::{Group, Member};
use super::header::{self, INDENT};
use super::line_writer::{DetailLevel, LineWriter};
use super::shape_key::ShapeKey;
use super::untraced::ADVICE;
use super::walk::walk;
use super::{dump, inspected, place, tree, verdict};
use crate::diagnosis::{Status, likeliest};
use crate::dump::{Source, Stall, StallPhase, StallReport, TaskDump};
use crate::symbol::PathShortener;
use crate::task::TaskState;
use crate::trace::{Frame, Tree, Wait};

pub(super) fn write(
    report: &StallReport,
    detail: DetailLevel,
    out: &mut LineWriter<'_, '_>,
) -> fmt::Result {
    let tree = tree(report.task.trace(), detail);
    let member = Member {
        task: &report.task,
        shape_key: ShapeKey::of(tree),
        detail,
        status: Status::without_problem(),
    };
    out.line("")?;
    complaint(out, report, tree)?;
    let group = Group::new(vec![member]);
    dump::tree(out, INDENT, &group, detail)?;
    dump::missing(out, &group.members)?;
    let causes = inspected::causes_of_stall(report);
    for cause in &causes {
        out.line(INDENT)?;
        write!(out, "read from memory: {cause}")?;
    }
    match causes.is_empty() {
        true => untraced(out, report),
        false => Ok(()),
    }
}

/// Writes the number of untraced tasks on the same runtime. One of them may be the cause.
fn untraced(out: &mut LineWriter<'_, '_>, report: &StallReport) -> fmt::Result {
    let tasks = match report.untraced {
        0 => return Ok(()),
        1 => "1 tokio task on its runtime is".to_owned(),
        several => format!("{several} tokio tasks on its runtime are"),
    };
    let one = if report.untraced == 1 {
        "it"
    } else {
        "one of them"
    };
    let cause = match report.kind {
        Stall::Starved => "block its thread",
        _ => "hold the resource that it waits for",
    };
    out.line(INDENT)?;
    write!(out, "{tasks} not traced, and {one} may {cause}; {ADVICE}")
}

/// Writes the problem in one line.
fn complaint(out: &mut LineWriter<'_, '_>, report: &StallReport, tree: &Tree) -> fmt::Result {
    let StallReport { kind, phase, .. } = report;
    let task = &report.task;
    let time = HumanDuration(report.duration);
    if report.function.as_ref().is_some_and(|it| !it.is_task) {
        out.write_str("a function of ")?;
    }
    header::name(out, task)?;
    match (kind, phase) {
        (Stall::Blocked, StallPhase::Began) => {
            out.write_str(match computes(task) {
                true => " has computed without yielding on ",
                false => " has blocked ",
            })?;
            thread(out, task)?;
            write!(out, " for {time}, in a single poll")?;
            innermost(out, task, tree)
        }
        (Stall::Blocked, StallPhase::Ended) => {
            out.write_str(match computes(task) {
                true => " no longer computes on ",
                false => " no longer blocks ",
            })?;
            thread(out, task)?;
            write!(out, ", after {time}")
        }
        (Stall::Starved, StallPhase::Began) => {
            match task.state() {
                TaskState::NeverPolled => {
                    write!(out, " was created {time} ago, but has never been polled")?;
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
            write!(out, " no longer waits to be polled, after {time}")
        }
        (Stall::Overdue, StallPhase::Began) => {
            let limit = report.limit;
            write!(
                out,
                " has been suspended for {time}, longer than {} limit of {limit:?}",
                if report.function.is_some() {
                    "its"
                } else {
                    "the"
                }
            )?;
            match likeliest(&report.task).filter(|_| report.function.is_none()) {
                Some(point) => write!(out, ": {}", verdict::of_point(&point)),
                None => function(out, report),
            }
        }
        (Stall::Overdue, StallPhase::Ended) => {
            write!(out, " is no longer suspended, after {time}")?;
            function(out, report)
        }
    }
}

fn computes(task: &TaskDump) -> bool {
    matches!(task.state(), TaskState::Running(running) if running.computes() == Some(true))
}

/// Writes the thread that polls the task: `tokio-rt-worker (thread 4711)`.
fn thread(out: &mut LineWriter<'_, '_>, task: &TaskDump) -> fmt::Result {
    match task.state() {
        TaskState::Running(running) => header::thread_of(out, running),
        // The poll ended before the task was dumped.
        _ => out.write_str("its thread"),
    }
}

/// Writes the function in which the poll is, and the resource that blocks it, as far as they are known.
///
/// A snapshot has the functions in which the task was suspended before this poll. Only the outermost of them is
/// certainly on the stack.
fn innermost(out: &mut LineWriter<'_, '_>, task: &TaskDump, tree: &Tree) -> fmt::Result {
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
        function_at(out, function)?;
    }
    match blocking {
        // A task that computes only happens to be in this call, so the call is not blamed.
        Some(blocking) if !computes(task) => write!(out, ", in {blocking}"),
        _ => Ok(()),
    }
}

/// Writes a function and its source location, if the location is known.
fn function_at(out: &mut LineWriter<'_, '_>, frame: &Frame) -> fmt::Result {
    if frame.file().is_none() {
        return Ok(());
    }
    write!(out, ": {}", frame.name())?;
    place::write(out, frame)
}

/// Writes the function that is overdue, if the report is about a function.
fn function(out: &mut LineWriter<'_, '_>, report: &StallReport) -> fmt::Result {
    let Some(function) = &report.function else {
        return Ok(());
    };
    write!(out, ": {}", function.name)?;
    match &function.label {
        // The label of the task is already written.
        Some(label) if !function.is_task => write!(out, " {label:?}")?,
        _ => {}
    }
    let file = PathShortener::new().shorten(function.file).into_owned();
    place::write_definition(out, &file, function.line)
}
