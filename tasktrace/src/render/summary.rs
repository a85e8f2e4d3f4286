//! Writes the first lines of a dump: the numbers of tasks in each state, and the findings about them.

use std::collections::HashMap;
use std::fmt::{self, Write};

use super::group::Member;
use super::header;
use super::line_writer::LineWriter;
use super::untraced;
use super::verdict;
use crate::diagnosis::{self, Finding, Severity};
use crate::dump::{Dump, Forest};
use crate::task::TaskState;

/// The number of cycles that are shown.
const FEW_CYCLES: usize = 3;

/// The number of tasks of a cycle that are shown.
const MAX_SHOWN_CYCLE: usize = 8;

pub(super) fn write(
    out: &mut LineWriter<'_, '_>,
    forest: &Forest<'_>,
    members: &[Member<'_>],
) -> fmt::Result {
    counts(out, forest.dump())?;
    handles(out, members)?;

    let findings = diagnosis::findings(forest, members.iter().map(|member| member.status));
    let (cycles, others): (Vec<_>, Vec<_>) = findings
        .into_iter()
        .partition(|finding| finding.severity == Severity::InCycle);
    write_cycles(out, &cycles)?;
    for Finding {
        severity, tasks, ..
    } in others
    {
        let Some(text) = severity.text_for_many() else {
            continue;
        };
        out.line("")?;
        header::mark(out, severity)?;
        out.write_str(text)?;
        if let Some(limit) = severity.limit() {
            write!(out, " {limit}")?;
        }
        let noun = if tasks.len() == 1 { "task" } else { "tasks" };
        write!(out, ": {noun} ")?;
        header::list(out, tasks.iter().map(|task| task.id()))?;
    }
    Ok(())
}

/// Writes the numbers of tasks, and how to trace the untraced ones: `41 tasks: 38 suspended, 1 running, 2 never polled;
/// 12 more tokio tasks on the runtime of task 1 are not traced`.
fn counts(out: &mut LineWriter<'_, '_>, dump: &Dump) -> fmt::Result {
    out.line("")?;
    match dump.len() {
        0 => out.write_str("no traced tasks")?,
        1 => out.write_str("1 task")?,
        tasks => write!(out, "{tasks} tasks")?,
    }
    let count = |is: fn(&TaskState) -> bool| dump.tasks().filter(|task| is(task.state())).count();
    let counts = [
        (count(|it| matches!(it, TaskState::Suspended)), "suspended"),
        (count(|it| matches!(it, TaskState::Running(_))), "running"),
        (
            count(|it| matches!(it, TaskState::NeverPolled)),
            "never polled",
        ),
        (
            count(|it| matches!(it, TaskState::Woken)),
            "woken but not yet polled",
        ),
        (count(|it| matches!(it, TaskState::Finished)), "finished"),
    ];
    let mut before = ": ";
    for (count, state) in counts {
        if count > 0 {
            write!(out, "{before}{count} {state}")?;
            before = ", ";
        }
    }
    let Some(untraced) = untraced::sentences(dump) else {
        return Ok(());
    };
    // They are shown below, as they are in memory.
    if dump.shows_untraced() {
        return Ok(());
    }
    write!(out, "; {untraced}")?;
    out.line("")?;
    out.write_str(untraced::ADVICE)
}

/// Writes the tasks that wait for join handles of tokio: `task 1 waits for a tokio join handle, of …`.
fn handles(out: &mut LineWriter<'_, '_>, members: &[Member<'_>]) -> fmt::Result {
    // Tasks with the same shape wait for the same resources, so one task of each shape is checked.
    let mut known: HashMap<usize, bool> = HashMap::new();
    let mut awaits = |member: &&Member<'_>| {
        let awaits = || untraced::awaits_handle(member.tree());
        match member.shape_key.class {
            Some(class) => *known.entry(class).or_insert_with(awaits),
            None => awaits(),
        }
    };
    let tasks: Vec<_> = members.iter().filter(&mut awaits).collect();
    let noun = match tasks.len() {
        0 => return Ok(()),
        1 => "task ",
        _ => "tasks ",
    };
    out.line("")?;
    out.write_str(noun)?;
    header::list(out, tasks.iter().map(|member| member.task.id()))?;
    let wait = if tasks.len() == 1 { "waits" } else { "wait" };
    write!(out, " {wait} for {}", untraced::HANDLES)
}

/// Writes cycles of tasks: `task 3 → task 5 → task 3: a cycle: none of them can go on`.
fn write_cycles(out: &mut LineWriter<'_, '_>, cycles: &[Finding<'_>]) -> fmt::Result {
    for Finding {
        tasks, certainty, ..
    } in cycles.iter().take(FEW_CYCLES)
    {
        out.line("")?;
        header::mark(out, Severity::InCycle)?;
        let (shown, hidden) = match tasks.len() {
            0..=MAX_SHOWN_CYCLE => (&tasks[..], 0),
            many => (&tasks[..MAX_SHOWN_CYCLE], many - MAX_SHOWN_CYCLE),
        };
        for task in shown {
            write!(out, "task {} → ", task.id())?;
        }
        if hidden > 0 {
            write!(out, "{hidden} more → ")?;
        }
        write!(out, "task {}: a cycle: ", tasks[0].id())?;
        out.write_str(verdict::none_can_go_on(*certainty))?;
    }
    match cycles.len().saturating_sub(FEW_CYCLES) {
        0 => Ok(()),
        more => {
            out.line("")?;
            header::mark(out, Severity::InCycle)?;
            write!(
                out,
                "{more} more {}",
                if more == 1 { "cycle" } else { "cycles" }
            )
        }
    }
}
