//! Writes a dump: the summary, and the tasks in groups.
//!
//! ```text
//! 3 tasks: 3 suspended
//!
//! task 1 app::main, suspended 1.5s, 3 polls, age 2.0s
//!   ╼ app::main at src/main.rs:10:5 (2.0s)
//!    └╼ tokio::time::sleep at tokio-1.40.0/src/time/sleep.rs:447:22
//!
//! 2 tasks app::worker, …
//! ```

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use super::group::{self, Group, Member};
use super::header::{self, FEW, INDENT};
use super::line_writer::{DetailLevel, LineWriter};
use super::siblings::SiblingFolder;
use super::text;
use super::{ended, inspected, summary};
use crate::dump::Dump;
use crate::symbol::PathShortener;

pub(super) fn write(dump: &Dump, detail: DetailLevel, out: &mut LineWriter<'_, '_>) -> fmt::Result {
    let forest = dump.by_awaiter();
    let members = group::members(&forest, detail);
    summary::write(out, &forest, &members)?;

    groups(out, dump, members.clone(), detail)?;
    missing(out, &members)?;
    ended::write(out, dump, detail)?;
    inspected::write(out, dump)
}

/// Writes tasks in groups, the most severe first.
pub(super) fn groups(
    out: &mut LineWriter<'_, '_>,
    dump: &Dump,
    members: Vec<Member<'_>>,
    detail: DetailLevel,
) -> fmt::Result {
    let paths = PathShortener::new();
    for group in group::groups(members, detail) {
        out.line("")?;
        out.line("")?;
        header::mark(out, group.severity)?;
        match &group.members[..] {
            [member] => {
                header::task(out, member, &paths)?;
                tree(out, INDENT, &group, detail)?;
                awaited(out, dump, member)?;
            }
            _ => {
                header::group(out, &group, &paths)?;
                tree(out, INDENT, &group, detail)?;
                awaited_by_members(out, &group)?;
            }
        }
    }
    Ok(())
}

/// Writes the tree of a group.
pub(super) fn tree(
    out: &mut LineWriter<'_, '_>,
    indent: &str,
    group: &Group<'_>,
    detail: DetailLevel,
) -> fmt::Result {
    let tree = group.first().tree();
    let folder = SiblingFolder::new(&tree.frames, group.summaries(), detail);
    text::frames(out, indent, &tree.frames, folder)?;
    text::notes(out, indent, &tree.notes)
}

/// Writes once for all traces that names or lines are missing.
pub(super) fn missing(out: &mut LineWriter<'_, '_>, members: &[Member<'_>]) -> fmt::Result {
    let missing = members
        .iter()
        .find_map(|member| member.shape_key.notes().missing);
    match missing {
        None => Ok(()),
        Some(missing) => {
            out.line("")?;
            text::missing(out, missing)
        }
    }
}

/// Writes the tasks that a task awaits, so that readers know where to look next.
fn awaited(out: &mut LineWriter<'_, '_>, dump: &Dump, member: &Member<'_>) -> fmt::Result {
    let awaited = member.task.awaits();
    for id in awaited.iter().take(FEW) {
        out.line(INDENT)?;
        write!(out, "awaits task {id}")?;
        match dump.get(*id) {
            Some(task) => {
                write!(out, " {}, ", header::title(task))?;
                header::short_state(out, task)?;
            }
            None => out.write_str(", which is not in this dump")?,
        }
    }
    match awaited.len().saturating_sub(FEW) {
        0 => Ok(()),
        more => {
            let tasks = if more == 1 { "task" } else { "tasks" };
            out.line(INDENT)?;
            write!(out, "awaits {more} more {tasks}")
        }
    }
}

/// Writes the tasks that the members of a group await. Each member may await a different task.
fn awaited_by_members(out: &mut LineWriter<'_, '_>, group: &Group<'_>) -> fmt::Result {
    let awaited = group.members.iter().flat_map(|member| member.task.awaits());
    let awaited: BTreeSet<_> = awaited.collect();
    if awaited.is_empty() {
        return Ok(());
    }
    out.line(INDENT)?;
    out.write_str(match awaited.len() {
        1 => "all await task ",
        _ => "they await tasks ",
    })?;
    header::list(out, awaited.into_iter())
}
