//! The tasks that are no more, and did not end as they should.
//!
//! ```text
//! ended before their time:
//!   task 7 app::worker "conn 1" panicked 3.2s ago at src/worker.rs:20:9: "on purpose", spawned at src/main.rs:10:5
//!   task 9 app::other was dropped 5.0s ago, spawned at src/main.rs:12:5
//! ```

use std::fmt::{self, Write};
use std::time::SystemTime;

use super::duration::Human;
use super::header::INDENT;
use super::out::{Detail, Out};
use crate::dump::{Dump, EndedTask, HowEnded};
use crate::origin::Title;
use crate::symbol::Paths;

/// The number of characters of a message that a verdict tells.
const LONGEST: usize = 100;

/// The number of ended tasks that a short text names.
const FEW: usize = 4;

pub(super) fn write(out: &mut Out<'_, '_>, dump: &Dump, detail: Detail) -> fmt::Result {
    let lines = lines(dump);
    if lines.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.line("")?;
    out.write_str("ended before their time:")?;
    let told = match detail {
        Detail::Tidy => FEW,
        Detail::Full => lines.len(),
    };
    for line in lines.iter().take(told) {
        out.line(INDENT)?;
        out.write_str(line)?;
    }
    match lines.len().saturating_sub(told) {
        0 => Ok(()),
        more => {
            out.line(INDENT)?;
            write!(out, "and {more} more")
        }
    }
}

/// Says which task has panicked: the first of those that are known.
///
/// `task 7 app::worker "conn 1" panicked before at src/worker.rs:20: "on purpose"`
pub(super) fn panicked(dump: &Dump) -> Option<String> {
    let panicked = |task: &&EndedTask| task.how() == HowEnded::Panicked;
    let panicked: Vec<&EndedTask> = dump.ended().iter().filter(panicked).collect();
    let first = panicked.last()?;
    let title = Title::new(first.name(), first.label());
    let mut text = format!("task {} {title} panicked before", first.id());
    if let Some((file, line, _)) = first.panicked_at() {
        text += &format!(" at {}:{line}", Paths::new().shorten(file));
    }
    if let Some(message) = first.panic_message() {
        let line = message.lines().next().unwrap_or_default();
        let short: String = line.chars().take(LONGEST).collect();
        let more = if short.len() < message.len() {
            "…"
        } else {
            ""
        };
        text += &format!(": {:?}", format!("{short}{more}"));
    }
    match panicked.len() - 1 {
        0 => {}
        more => text += &format!(", and {more} more"),
    }
    Some(text)
}

/// Returns a line for each ended task: panicked tasks first, and the latest first.
pub(super) fn lines(dump: &Dump) -> Vec<String> {
    let paths = Paths::new();
    let mut ended: Vec<&EndedTask> = dump.ended().iter().collect();
    ended.sort_by_key(|task| task.how() != HowEnded::Panicked);
    let line = |task: &&EndedTask| line(task, dump.taken(), &paths);
    ended.iter().map(line).collect()
}

fn line(task: &EndedTask, now: SystemTime, paths: &Paths) -> String {
    let title = Title::new(task.name(), task.label());
    let mut text = format!("task {} {title}", task.id());
    text += match task.how() {
        HowEnded::Panicked => " panicked ",
        HowEnded::Dropped => " was dropped ",
    };
    // A clock may have been set back.
    let ago = now.duration_since(task.when()).unwrap_or_default();
    text += &format!("{} ago", Human(ago));
    if let Some((file, line, column)) = task.panicked_at() {
        text += &format!(" at {}:{line}:{column}", paths.shorten(file));
    }
    if let Some(message) = task.panic_message() {
        text += &format!(": {message:?}");
    }
    if task.spawned_at().is_some() || task.parent().is_some() {
        text += ", spawned";
    }
    if let Some(place) = task.spawned_at() {
        let file = paths.shorten(place.file());
        text += &format!(" at {file}:{}:{}", place.line(), place.column());
    }
    if let Some(parent) = task.parent() {
        text += &format!(" by task {parent}");
    }
    text
}
