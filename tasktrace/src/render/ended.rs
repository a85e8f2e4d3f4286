//! Writes the tasks that have panicked or were dropped before they finished.
//!
//! ```text
//! ended by panic or cancellation:
//!   task 7 app::worker "conn 1" panicked 3.2s ago at src/worker.rs:20:9: "on purpose", spawned at src/main.rs:10:5
//!   task 9 app::other was dropped 5.0s ago, spawned at src/main.rs:12:5
//! ```

use std::fmt::{self, Write};
use std::time::SystemTime;

use super::duration::HumanDuration;
use super::header::INDENT;
use super::line_writer::{DetailLevel, LineWriter};
use super::place;
use crate::dump::{Dump, EndedTask, HowEnded};
use crate::origin::Title;
use crate::symbol::PathShortener;

/// The number of characters of a panic message that a verdict shows.
const LONGEST: usize = 100;

/// The number of ended tasks that the text of `{}` shows.
const FEW: usize = 4;

pub(super) fn write(out: &mut LineWriter<'_, '_>, dump: &Dump, detail: DetailLevel) -> fmt::Result {
    let lines = lines(dump);
    if lines.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.line("")?;
    out.write_str("ended by panic or cancellation:")?;
    let shown = match detail {
        DetailLevel::Simplified => FEW,
        DetailLevel::Full => lines.len(),
    };
    for line in lines.iter().take(shown) {
        out.line(INDENT)?;
        out.write_str(line)?;
    }
    match lines.len().saturating_sub(shown) {
        0 => Ok(()),
        more => {
            out.line(INDENT)?;
            write!(out, "and {more} more")
        }
    }
}

/// Returns a sentence about the first task that panicked, as far as the dump knows, and the number of others.
///
/// `task 7 app::worker "conn 1" panicked before at src/worker.rs:20: "on purpose"`
pub(super) fn panicked(dump: &Dump) -> Option<String> {
    let panicked = |task: &&EndedTask| task.how() == HowEnded::Panicked;
    let panicked: Vec<&EndedTask> = dump.ended().iter().filter(panicked).collect();
    let first = panicked.last()?;
    let title = Title::new(first.name(), first.label());
    let mut text = format!("task {} {title} panicked before", first.id());
    if let Some((file, line, _)) = first.panicked_at() {
        text += &format!(" at {}:{line}", PathShortener::new().shorten(file));
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
    let paths = PathShortener::new();
    let mut ended: Vec<&EndedTask> = dump.ended().iter().collect();
    ended.sort_by_key(|task| task.how() != HowEnded::Panicked);
    let line = |task: &&EndedTask| line(task, dump.taken(), &paths);
    ended.iter().map(line).collect()
}

fn line(task: &EndedTask, now: SystemTime, paths: &PathShortener) -> String {
    let title = Title::new(task.name(), task.label());
    let mut text = format!("task {} {title}", task.id());
    text += match task.how() {
        HowEnded::Panicked => " panicked ",
        HowEnded::Dropped => " was dropped ",
    };
    // The time is negative if the clock was set back.
    let ago = now.duration_since(task.when()).unwrap_or_default();
    text += &format!("{} ago", HumanDuration(ago));
    if let Some((file, line, column)) = task.panicked_at() {
        text += &format!(" at {}:{line}:{column}", paths.shorten(file));
    }
    if let Some(message) = task.panic_message() {
        text += &format!(": {message:?}");
    }
    let spawned_at = place::unless_in_name(task.spawned_at(), task.name(), paths);
    if spawned_at.is_some() || task.parent().is_some() {
        text += ", spawned";
    }
    if let Some(place) = spawned_at {
        let file = paths.shorten(place.file());
        text += &format!(" at {file}:{}:{}", place.line(), place.column());
    }
    if let Some(parent) = task.parent() {
        text += &format!(" by task {parent}");
    }
    text
}
