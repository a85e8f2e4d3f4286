//! A test that does not end: the verdict in the first line, then its own task, then the others.

use std::fmt::{self, Write};
use std::time::Duration;

use super::duration::Human;
use super::group;
use super::out::{Detail, Out, Style};
use super::{dump, ended, untraced, verdict};
use crate::dump::{Hang, Stage, Why};

impl fmt::Display for Hang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self, &mut Out::new(Style::Plain, f))
    }
}

impl Hang {
    /// The first line.
    pub(crate) fn verdict(&self) -> String {
        let mut verdict = match &self.why {
            Why::Timeout if self.stage == Stage::Late => {
                format!("test took longer than its limit of {}: ", Whole(self.after))
            }
            Why::Timeout => format!("test hung for {}: ", Whole(self.after)),
            Why::Signal(signal) => {
                format!("test got {signal} after {}: ", Human(self.after))
            }
        };
        if self.stage == Stage::End {
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
        if let Some(untraced) = untraced::sentences(&self.dump) {
            verdict.push_str(&format!("; {untraced}"));
        }
        verdict
    }
}

fn write(hang: &Hang, out: &mut Out<'_, '_>) -> fmt::Result {
    out.line("")?;
    out.write_str(&hang.verdict())?;
    let forest = hang.dump.by_awaiter();
    let members = group::members(&forest, Detail::Tidy);
    let is_own = |id| hang.stage == Stage::Body(id);
    let (own, others): (Vec<_>, Vec<_>) = members
        .iter()
        .copied()
        .partition(|member| is_own(member.task.id()));
    dump::groups(out, &hang.dump, own, Detail::Tidy)?;
    dump::groups(out, &hang.dump, others, Detail::Tidy)?;
    dump::missing(out, &members)?;
    ended::write(out, &hang.dump, Detail::Tidy)?;
    if hang.dump.is_empty() {
        out.line("")?;
        out.write_str("none of its tasks is traced, or has been polled yet")?;
    }
    if !hang.dump.untraced_by_runtime().is_empty() {
        out.line("")?;
        write!(out, "note: some tasks are not traced; {}", untraced::ADVICE)?;
    }
    match hang.unknown {
        0 => Ok(()),
        unknown => {
            out.line("")?;
            write!(
                out,
                "note: {unknown} more tasks may be of this test or of another that runs at the \
                 same time: tokio tells with the feature `tokio`"
            )
        }
    }
}

/// `30s`: a limit as it was given, where it was given in whole seconds.
struct Whole(Duration);

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(duration) = self;
        match duration.subsec_nanos() {
            0 if duration.as_secs() < 60 => write!(f, "{}s", duration.as_secs()),
            _ => Human(*duration).fmt(f),
        }
    }
}
