//! Writes the header above a tree: the name and the state of a task, or of a group of tasks.
//!
//! ```text
//! task 7 app::worker "conn 10.0.0.1", suspended 12.3s, 41 polls, age 15.0s, spawned at src/main.rs:10:5 by task 1
//! ```

use std::collections::BTreeSet;
use std::fmt::{self, Display, Write};
use std::time::Duration;

use super::duration::{HumanDuration, Span};
use super::group::{Group, Member};
use super::line_writer::LineWriter;
use super::place;
use crate::diagnosis::Severity;
use crate::dump::{Source, TaskDump};
use crate::origin::Title;
use crate::symbol::PathShortener;
use crate::task::{NoAnswer, Running, TaskState, TraceError};

/// The number of items that a list shows, such as the members of a group.
pub(super) const FEW: usize = 5;

/// The indent of the lines below a header.
pub(super) const INDENT: &str = "  ";

/// Writes the header of a task. The caller writes the mark.
pub(super) fn task(
    out: &mut LineWriter<'_, '_>,
    member: &Member<'_>,
    paths: &PathShortener,
) -> fmt::Result {
    let task = member.task;
    name(out, task)?;
    out.write_str(", ")?;
    highlight(out, member.status.severity, |out| short_state(out, task))?;
    remark(out, member.status.severity, task)?;
    if *task.state() != TaskState::NeverPolled {
        let polls = task.polls();
        write!(
            out,
            ", {polls} {}",
            if polls == 1 { "poll" } else { "polls" }
        )?;
    }
    write!(out, ", age {}", HumanDuration(task.age()))?;
    spawned(out, &[*member], paths)?;
    source(out, task)
}

/// Writes the number, the name and the label of a task: `task 7 app::worker "conn 10.0.0.1"`.
pub(super) fn name(out: &mut LineWriter<'_, '_>, task: &TaskDump) -> fmt::Result {
    out.bold()?;
    write!(out, "task {} {}", task.id(), title(task))?;
    out.normal()
}

/// Returns the name of a task with its label.
pub(super) fn title(task: &TaskDump) -> Title<'_> {
    Title::new(task.name(), task.own_label())
}

/// Writes the remark about the state of a task, if there is one.
fn remark(out: &mut LineWriter<'_, '_>, severity: Severity, task: &TaskDump) -> fmt::Result {
    match (severity, task.polls_per_second()) {
        (Severity::Computing, _) => out.write_str(", computes without yielding"),
        (Severity::Spinning, Some(polls)) => write!(out, ", spins: {polls} polls a second"),
        _ => Ok(()),
    }
}

/// Writes the header of a group, and a second line that lists its members. The caller writes the mark.
pub(super) fn group(
    out: &mut LineWriter<'_, '_>,
    group: &Group<'_>,
    paths: &PathShortener,
) -> fmt::Result {
    let members = &group.members;
    let first = group.first().task;
    out.bold()?;
    write!(out, "{} tasks {}", members.len(), first.name())?;
    out.normal()?;
    out.write_str(", ")?;
    highlight(out, group.severity, |out| {
        state(out, first.state(), span(members, TaskDump::in_state))
    })?;
    // The frame of a held future shows for how long it has been held.
    if group.severity != Severity::Holding
        && let Some(limit) = group.severity.limit()
    {
        let is_as_severe = |member: &&Member<'_>| member.status.severity == group.severity;
        let most_severe = members.iter().filter(is_as_severe).count();
        if most_severe < members.len() {
            write!(out, " ({most_severe} of them {limit})")?;
        }
    }
    if *first.state() != TaskState::NeverPolled
        && let Some(polls) = Span::of(members.iter().map(|member| member.task.polls()))
    {
        match polls.least == polls.greatest {
            true if polls.least == 1 => out.write_str(", 1 poll")?,
            true => write!(out, ", {} polls", polls.least)?,
            false => write!(out, ", {} to {} polls", polls.least, polls.greatest)?,
        }
    }
    if let Some(age) = span(members, |task| Some(task.age())) {
        write!(out, ", age {age}")?;
    }
    spawned(out, members, paths)?;
    source(out, first)?;

    out.line(INDENT)?;
    out.write_str(if first.in_state().is_some() {
        "the longest: "
    } else {
        ""
    })?;
    list(out, members.iter().map(|member| BriefTask(member.task)))
}

/// Writes the first items of a list, and the number of the remaining items.
pub(super) fn list(
    out: &mut LineWriter<'_, '_>,
    items: impl ExactSizeIterator<Item = impl Display>,
) -> fmt::Result {
    let more = items.len().saturating_sub(FEW);
    for (at, item) in items.take(FEW).enumerate() {
        let before = if at > 0 { ", " } else { "" };
        write!(out, "{before}{item}")?;
    }
    match more {
        0 => Ok(()),
        more => write!(out, " and {more} more"),
    }
}

/// A task in the list of a group: `task 7 "conn 10.0.0.1" 12.3s`.
struct BriefTask<'a>(&'a TaskDump);

impl Display for BriefTask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(task) = self;
        write!(f, "task {}", task.id())?;
        if let Some(label) = task.own_label() {
            write!(f, " {label:?}")?;
        }
        if let Some(time) = task.in_state() {
            write!(f, " {}", HumanDuration(time))?;
        }
        thread(f, task)
    }
}

/// Writes the state of a task: `suspended 12.3s`, or `running 12.3s on tokio-rt-worker (thread 4711)`.
pub(super) fn short_state(out: &mut impl Write, task: &TaskDump) -> fmt::Result {
    state(out, task.state(), task.in_state().map(HumanDuration))?;
    thread(out, task)
}

/// Writes a state and the time that the task has been in it.
fn state(out: &mut impl Write, state: &TaskState, time: Option<impl Display>) -> fmt::Result {
    let state = match (state, &time) {
        // The age of the task is the time in this state, and the header shows it anyway.
        (TaskState::NeverPolled, _) => return out.write_str("never polled"),
        (TaskState::Finished, _) => return out.write_str("finished"),
        (TaskState::Woken, Some(_)) => "woken, but not polled for",
        (TaskState::Woken, None) => "woken, but not polled yet",
        (TaskState::Running(_), _) => "running",
        (TaskState::Suspended, _) => "suspended",
    };
    out.write_str(state)?;
    match time {
        Some(time) => write!(out, " {time}"),
        None => Ok(()),
    }
}

/// Writes the thread that polls a task, if the task is running.
fn thread(out: &mut impl Write, task: &TaskDump) -> fmt::Result {
    match task.state() {
        TaskState::Running(running) => {
            out.write_str(" on ")?;
            thread_of(out, running)
        }
        _ => Ok(()),
    }
}

/// Writes the name and the number of a thread: `tokio-rt-worker (thread 4711)`.
pub(super) fn thread_of(out: &mut impl Write, running: &Running) -> fmt::Result {
    match running.thread_name() {
        Some(name) => write!(out, "{name} (thread {})", running.thread_id()),
        None => write!(out, "thread {}", running.thread_id()),
    }
}

/// Writes where the tasks were spawned, and which tasks spawned them.
fn spawned(
    out: &mut LineWriter<'_, '_>,
    members: &[Member<'_>],
    paths: &PathShortener,
) -> fmt::Result {
    let tasks = || members.iter().map(|member| member.task);
    let unsaid = |task: &'_ TaskDump| place::unless_in_name(task.spawned_at(), task.name(), paths);
    let places: BTreeSet<_> = tasks().filter_map(unsaid).collect();
    let parents: BTreeSet<_> = tasks().filter_map(TaskDump::parent).collect();
    if places.is_empty() && parents.is_empty() {
        return Ok(());
    }
    out.write_str(", spawned")?;
    match (places.len(), places.first()) {
        (_, None) => {}
        (1, Some(place)) => {
            let file = paths.shorten(place.file());
            write!(out, " at {file}:{}:{}", place.line(), place.column())?;
        }
        (several, _) => write!(out, " at {several} places")?,
    }
    match (parents.len(), parents.first()) {
        (_, None) => Ok(()),
        (1, Some(parent)) => write!(out, " by task {parent}"),
        (several, _) => write!(out, " by {several} tasks"),
    }
}

/// Writes the reason why a task has only a snapshot although a capture was requested.
fn source(out: &mut LineWriter<'_, '_>, task: &TaskDump) -> fmt::Result {
    let Source::Snapshot { error: Some(error) } = task.source() else {
        return Ok(());
    };
    match error {
        TraceError::NoAnswer { waited, reason } => {
            write!(out, ", no answer within {}", HumanDuration(*waited))?;
            match (reason, task.state()) {
                // The state already says that the task is running.
                (NoAnswer::Running, TaskState::Running(_)) => Ok(()),
                (NoAnswer::Running, _) => out.write_str(": it was in the middle of a poll"),
                (NoAnswer::NotWoken, _) => write!(out, ": {reason}"),
                (NoAnswer::NotPolled, _) => match task.unpolled {
                    Some(unpolled) if unpolled.is_proven => {
                        out.write_str(": its executor does not poll it")
                    }
                    _ => out.write_str(": it was woken, and has not been polled since"),
                },
            }
        }
        TraceError::NeverPolled => Ok(()),
        TraceError::Finished => out.write_str(", finished before it was captured"),
        TraceError::Panicked => out.write_str(", panicked while it was captured"),
        TraceError::NoSample(reason) => write!(out, ", stack not known: {reason}"),
        TraceError::OwnWakers => {
            out.write_str(", not captured: its executor accepts only its own wakers")
        }
        TraceError::NoRoom => {
            out.write_str(", not captured: too little room left on the stack of its thread")
        }
        TraceError::InsideOwnPoll => out.write_str(", not captured: it took this dump"),
    }
}

fn span(
    members: &[Member<'_>],
    of: impl Fn(&TaskDump) -> Option<Duration>,
) -> Option<Span<Duration>> {
    Span::of(members.iter().filter_map(|member| of(member.task)))
}

/// Writes text, in red if the severity is marked.
fn highlight<'a, 'b>(
    out: &mut LineWriter<'a, 'b>,
    severity: Severity,
    write: impl FnOnce(&mut LineWriter<'a, 'b>) -> fmt::Result,
) -> fmt::Result {
    if !severity.is_marked() {
        return write(out);
    }
    out.red()?;
    write(out)?;
    out.normal()
}

/// Writes the mark `! ` if the severity is marked.
pub(super) fn mark(out: &mut LineWriter<'_, '_>, severity: Severity) -> fmt::Result {
    if !severity.is_marked() {
        return Ok(());
    }
    out.red()?;
    out.write_str("! ")?;
    out.normal()
}
