//! The first lines of a dump: how many tasks there are, and what may be wrong with them.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::group::{self, Member};
use super::header;
use super::out::Out;
use super::urgency::Urgency;
use super::walk::walk;
use crate::dump::{Dump, Forest};
use crate::task::TaskState;

/// So many cycles are told.
const FEW_CYCLES: usize = 3;

/// Cycles of more tasks than this are told in part.
const LONGEST_CYCLE: usize = 8;

pub(super) fn write(
    out: &mut Out<'_, '_>,
    forest: &Forest<'_>,
    members: &[Member<'_>],
) -> fmt::Result {
    counts(out, forest.dump())?;

    cycles(out, forest)?;
    let mut wrong: BTreeMap<Urgency, Vec<Member<'_>>> = BTreeMap::new();
    for member in members {
        wrong.entry(member.urgency).or_default().push(*member);
    }
    for (urgency, mut members) in wrong {
        let Some(complaint) = urgency.complaint() else {
            continue;
        };
        out.line("")?;
        header::mark(out, urgency)?;
        out.write_str(complaint)?;
        if let Some(limit) = urgency.limit() {
            write!(out, " {limit}")?;
        }
        let tasks = if members.len() == 1 { "task" } else { "tasks" };
        write!(out, ": {tasks} ")?;
        group::longest_first(&mut members);
        header::list(out, members.iter().map(|member| member.task.id()))?;
    }
    Ok(())
}

/// `41 tasks: 38 suspended, 1 running, 2 never polled; 12 more tokio tasks on this runtime are not
/// traced`.
fn counts(out: &mut Out<'_, '_>, dump: &Dump) -> fmt::Result {
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
    let more = if dump.is_empty() { "" } else { "more " };
    match dump.untraced() {
        None | Some(0) => Ok(()),
        Some(1) => write!(out, "; 1 {more}tokio task on this runtime is not traced"),
        Some(tasks) => write!(
            out,
            "; {tasks} {more}tokio tasks on this runtime are not traced"
        ),
    }
}

/// `task 3 → task 5 → task 3: a cycle: none of them can go on`.
fn cycles(out: &mut Out<'_, '_>, forest: &Forest<'_>) -> fmt::Result {
    let cycles = forest.cycle_positions();
    for cycle in cycles.iter().take(FEW_CYCLES) {
        out.line("")?;
        header::mark(out, Urgency::InCycle)?;
        let (told, untold) = match cycle.len() {
            0..=LONGEST_CYCLE => (&cycle[..], 0),
            tasks => (&cycle[..LONGEST_CYCLE], tasks - LONGEST_CYCLE),
        };
        for at in told {
            write!(out, "task {} → ", forest.task(*at).id())?;
        }
        if untold > 0 {
            write!(out, "{untold} more → ")?;
        }
        write!(out, "task {}: a cycle: ", forest.task(cycle[0]).id())?;
        // A task in a `select!` may wait for something else, which would free it.
        out.write_str(match cycle.iter().all(|at| waits_for_one(forest, *at)) {
            true => "none of them can go on",
            false => "none of them can go on, unless one of them also waits for something else",
        })?;
    }
    match cycles.len().saturating_sub(FEW_CYCLES) {
        0 => Ok(()),
        more => {
            out.line("")?;
            header::mark(out, Urgency::InCycle)?;
            write!(
                out,
                "{more} more {}",
                if more == 1 { "cycle" } else { "cycles" }
            )
        }
    }
}

fn waits_for_one(forest: &Forest<'_>, at: usize) -> bool {
    let task = forest.task(at);
    let leaves = walk(task.trace().frames()).filter(|step| step.frame.children().is_empty());
    let leaves: usize = leaves.map(|step| step.frame.count()).sum();
    leaves <= 1 && task.awaits().len() == 1
}
