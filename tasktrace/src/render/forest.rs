//! Writes the tasks of a dump as trees in which each task is below the tasks that await it.
//!
//! ```text
//! task 1 app::main, suspended 1.5s, 3 polls, age 2.0s
//! │  ╼ app::main at src/main.rs:10:5 (2.0s)
//! ├─ awaits task 2 app::worker, suspended 1.5s, 1 poll, age 2.0s
//! │     ╼ app::worker at src/main.rs:20:5 (2.0s)
//! └─ awaits task 3 app::worker, suspended 1.5s, 1 poll, age 2.0s
//!       ╼ app::worker at src/main.rs:20:5 (2.0s)
//! ```

use std::fmt::{self, Write};

use super::group::{self, Group, Member};
use super::line_writer::{DetailLevel, LineWriter};
use super::{dump, header, summary};
use crate::dump::Forest;
use crate::symbol::PathShortener;
use crate::task::TaskId;

/// The largest indented depth. Deeper lines are not indented any further.
const DEEPEST_INDENT: usize = 24;

/// A task that is not written yet.
struct PendingTask {
    id: TaskId,
    depth: usize,
    last: bool,
}

pub(super) fn write(
    forest: &Forest<'_>,
    detail: DetailLevel,
    out: &mut LineWriter<'_, '_>,
) -> fmt::Result {
    let members = group::members(forest, detail);
    summary::write(out, forest, &members)?;
    let mut writer = ForestWriter {
        forest,
        detail,
        members: &members,
        paths: PathShortener::new(),
        is_written: vec![false; members.len()],
        is_above: vec![false; members.len()],
    };
    let (awaiting, alone): (Vec<usize>, Vec<usize>) = forest
        .root_positions()
        .iter()
        .partition(|root| !forest.task(**root).awaits().is_empty());
    for root in awaiting {
        out.line("")?;
        writer.write(out, root)?;
    }
    let alone = alone.into_iter().map(|at| members[at]).collect();
    dump::groups(out, forest.dump(), alone, detail)?;
    dump::missing(out, &members)
}

struct ForestWriter<'a> {
    forest: &'a Forest<'a>,
    detail: DetailLevel,
    members: &'a [Member<'a>],
    paths: PathShortener,
    /// For each task: `true` if its header and its tree have been written.
    is_written: Vec<bool>,
    /// For each task: `true` if it is on the path from the root to the current task.
    is_above: Vec<bool>,
}

impl ForestWriter<'_> {
    /// Writes a task and all tasks that it awaits, directly or indirectly.
    fn write(&mut self, out: &mut LineWriter<'_, '_>, root: usize) -> fmt::Result {
        let mut pending = vec![PendingTask {
            id: self.forest.task(root).id(),
            depth: 0,
            last: true,
        }];
        // For each depth: `true` if a vertical line leads down to another sibling, and the position of the task.
        let mut open: Vec<(bool, usize)> = Vec::new();
        while let Some(PendingTask { id, depth, last }) = pending.pop() {
            for (_, at) in open.drain(depth..) {
                self.is_above[at] = false;
            }
            let at = self.forest.position(id);
            self.start(out, &open, depth, last, at)?;
            let Some(at) = at else {
                write!(out, "task {id}, which is not in this dump")?;
                continue;
            };
            let member = &self.members[at];
            if self.is_written[at] {
                write!(out, "task {id} {}, ", header::title(member.task))?;
                out.write_str(match self.is_above[at] {
                    true => "shown above: a cycle",
                    false => "shown above",
                })?;
                continue;
            }
            header::task(out, member, &self.paths)?;
            self.is_written[at] = true;
            self.is_above[at] = true;
            open.push((!last, at));

            let awaited = member.task.awaits();
            let mut indent = vertical_lines(&open);
            indent.push_str(if awaited.is_empty() { "   " } else { "│  " });
            dump::tree(out, &indent, &Group::new(vec![*member]), self.detail)?;
            let last = awaited.len().saturating_sub(1);
            pending.extend(
                awaited
                    .iter()
                    .enumerate()
                    .rev()
                    .map(|(at, id)| PendingTask {
                        id: *id,
                        depth: depth + 1,
                        last: at == last,
                    }),
            );
        }
        for (_, at) in open {
            self.is_above[at] = false;
        }
        Ok(())
    }

    /// Begins the line of a task: writes the vertical lines, the branch and the mark.
    fn start(
        &self,
        out: &mut LineWriter<'_, '_>,
        open: &[(bool, usize)],
        depth: usize,
        last: bool,
        at: Option<usize>,
    ) -> fmt::Result {
        out.line(&vertical_lines(open))?;
        if depth > 0 {
            out.write_str(if last { "└─ " } else { "├─ " })?;
        }
        if depth > DEEPEST_INDENT {
            write!(out, "(depth {depth}) ")?;
        }
        if let Some(at) = at
            && !self.is_written[at]
        {
            header::mark(out, self.members[at].status.severity)?;
        }
        match depth {
            0 => Ok(()),
            _ => out.write_str("awaits "),
        }
    }
}

/// Returns the vertical lines that lead past the current line to later siblings of the tasks above.
fn vertical_lines(open: &[(bool, usize)]) -> String {
    let below_root = open.iter().skip(1).take(DEEPEST_INDENT);
    below_root
        .map(|(leads_on, _)| if *leads_on { "│  " } else { "   " })
        .collect()
}
