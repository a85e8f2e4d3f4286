//! Writes the report about a hung test: the verdict in the first line, then the task of the test, then the other tasks.

use std::fmt::{self, Write};
use std::time::Duration;

use super::duration::HumanDuration;
use super::group;
use super::line_writer::{DetailLevel, LineWriter, Style};
use super::{dump, ended, inspected, untraced, verdict};
use crate::dump::{Hang, HangTrigger, TestStage};

impl fmt::Display for Hang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self, &mut LineWriter::new(Style::Plain, f))
    }
}

impl Hang {
    /// Returns the first line of the report: why the test hangs.
    pub(crate) fn verdict(&self) -> String {
        let mut verdict = match &self.trigger {
            HangTrigger::Timeout if self.stage == TestStage::Late => {
                format!(
                    "test took longer than its limit of {}: ",
                    WholeSeconds(self.after)
                )
            }
            HangTrigger::Timeout => format!("test hung for {}: ", WholeSeconds(self.after)),
            HangTrigger::Signal(signal) => {
                format!("test got {signal} after {}: ", HumanDuration(self.after))
            }
        };
        if self.stage == TestStage::End {
            verdict.push_str("its body has ended, but its runtime does not shut down: ");
        }
        verdict.push_str(&verdict::of(self));
        if !verdict.contains(&self.name) {
            verdict.push_str(&format!(
                " (in {} at {}:{})",
                self.name, self.file, self.line
            ));
        }
        if let Some(panicked) = ended::panicked(&self.dump) {
            verdict.push_str(&format!("; {panicked}"));
        }
        // The trees that were read from memory say more about untraced tasks than their number.
        let untraced = match self.dump.shows_untraced() {
            true => None,
            false => untraced::sentences(&self.dump),
        };
        if let Some(untraced) = untraced {
            verdict.push_str(&format!("; {untraced}"));
        }
        verdict
    }
}

fn write(hang: &Hang, out: &mut LineWriter<'_, '_>) -> fmt::Result {
    out.line("")?;
    out.write_str(&hang.verdict())?;
    let forest = hang.dump.by_awaiter();
    let members = group::members(&forest, DetailLevel::Simplified);
    let is_own = |id| hang.stage == TestStage::Body(id);
    let (own, others): (Vec<_>, Vec<_>) = members
        .iter()
        .copied()
        .partition(|member| is_own(member.task.id()));
    dump::groups(out, &hang.dump, own, DetailLevel::Simplified)?;
    dump::groups(out, &hang.dump, others, DetailLevel::Simplified)?;
    dump::missing(out, &members)?;
    ended::write(out, &hang.dump, DetailLevel::Simplified)?;
    if hang.dump.is_empty() {
        out.line("")?;
        out.write_str("no traced task of the test has been polled")?;
    }
    inspected::write(out, &hang.dump)?;
    if !hang.dump.untraced_by_runtime().is_empty() && !hang.dump.shows_untraced() {
        out.line("")?;
        write!(out, "note: some tasks are not traced; {}", untraced::ADVICE)?;
    }
    match hang.unknown {
        0 => Ok(()),
        unknown => {
            let tasks = if unknown == 1 { "task" } else { "tasks" };
            out.line("")?;
            write!(
                out,
                "note: {unknown} more {tasks} may belong to this test, or to another test that runs at the same time: \
                 the feature `tokio` tells them apart"
            )
        }
    }
}

/// A limit, written like the user gave it if it is in whole seconds: `30s`.
struct WholeSeconds(Duration);

impl fmt::Display for WholeSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(duration) = self;
        match duration.subsec_nanos() {
            0 if duration.as_secs() < 60 => write!(f, "{}s", duration.as_secs()),
            _ => HumanDuration(*duration).fmt(f),
        }
    }
}
