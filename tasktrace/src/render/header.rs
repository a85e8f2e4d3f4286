//! The line above a tree: which task it is, or which tasks they are.
//!
//! ```text
//! task 7 app::worker "conn 10.0.0.1", suspended 12.3s, 41 polls, age 15.0s, spawned at src/main.rs:10:5 by task 1
//! ```

use std::collections::BTreeSet;
use std::fmt::{self, Display, Write};
use std::time::Duration;

use super::duration::{Human, Span};
use super::group::{Group, Member};
use super::out::Out;
use crate::diagnosis::Urgency;
use crate::dump::{Source, TaskDump};
use crate::origin::Title;
use crate::symbol::Paths;
use crate::task::{NoAnswer, Running, TaskState, TraceError};

/// So many members of a group, or tasks in a list, are told by number.
pub(super) const FEW: usize = 5;

/// Writes the header of a task, without a mark.
pub(super) fn task(out: &mut Out<'_, '_>, member: &Member<'_>, paths: &Paths) -> fmt::Result {
    let task = member.task;
    name(out, task)?;
    out.write_str(", ")?;
    stands_out(out, member.standing.urgency, |out| short_state(out, task))?;
    remark(out, member.standing.urgency, task)?;
    if *task.state() != TaskState::NeverPolled {
        let polls = task.polls();
        write!(
            out,
            ", {polls} {}",
            if polls == 1 { "poll" } else { "polls" }
        )?;
    }
    write!(out, ", age {}", Human(task.age()))?;
    spawned(out, &[*member], paths)?;
    source(out, task)
}

/// `task 7 app::worker "conn 10.0.0.1"`.
pub(super) fn name(out: &mut Out<'_, '_>, task: &TaskDump) -> fmt::Result {
    out.bold()?;
    write!(out, "task {} {}", task.id(), title(task))?;
    out.normal()
}

/// Returns the name of a task with its label.
pub(super) fn title(task: &TaskDump) -> Title<'_> {
    Title::new(task.name(), task.own_label())
}

/// Writes the remark about the state of a task, if there is one.
fn remark(out: &mut Out<'_, '_>, urgency: Urgency, task: &TaskDump) -> fmt::Result {
    match (urgency, task.polls_per_second()) {
        (Urgency::Computing, _) => out.write_str(", computes without yielding"),
        (Urgency::Spinning, Some(polls)) => write!(out, ", spins: {polls} polls a second"),
        _ => Ok(()),
    }
}

/// Writes the header of several tasks, without a mark, and in a second line which they are.
pub(super) fn group(out: &mut Out<'_, '_>, group: &Group<'_>, paths: &Paths) -> fmt::Result {
    let members = &group.members;
    let first = group.first().task;
    out.bold()?;
    write!(out, "{} tasks {}", members.len(), first.name())?;
    out.normal()?;
    out.write_str(", ")?;
    stands_out(out, group.urgency, |out| {
        state(out, first.state(), span(members, TaskDump::in_state))
    })?;
    // For how long a future has been held is said at its frame.
    if group.urgency != Urgency::Holding
        && let Some(limit) = group.urgency.limit()
    {
        let is_urgent = |member: &&Member<'_>| member.standing.urgency == group.urgency;
        let urgent = members.iter().filter(is_urgent).count();
        if urgent < members.len() {
            write!(out, " ({urgent} of them {limit})")?;
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
    list(out, members.iter().map(|member| Brief(member.task)))
}

/// What is below a header is indented by this.
pub(super) const INDENT: &str = "  ";

/// Writes the first few of a list, and how many more there are.
pub(super) fn list(
    out: &mut Out<'_, '_>,
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

/// A task among others: `task 7 "conn 10.0.0.1" 12.3s`.
struct Brief<'a>(&'a TaskDump);

impl Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(task) = self;
        write!(f, "task {}", task.id())?;
        if let Some(label) = task.own_label() {
            write!(f, " {label:?}")?;
        }
        if let Some(time) = task.in_state() {
            write!(f, " {}", Human(time))?;
        }
        thread(f, task)
    }
}

/// `suspended 12.3s`, `running 12.3s on tokio-rt-worker (thread 4711)`.
pub(super) fn short_state(out: &mut impl Write, task: &TaskDump) -> fmt::Result {
    state(out, task.state(), task.in_state().map(Human))?;
    thread(out, task)
}

/// A state, and for how long.
fn state(out: &mut impl Write, state: &TaskState, time: Option<impl Display>) -> fmt::Result {
    let state = match (state, &time) {
        // The age of the task says for how long.
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

fn thread(out: &mut impl Write, task: &TaskDump) -> fmt::Result {
    match task.state() {
        TaskState::Running(running) => {
            out.write_str(" on ")?;
            thread_of(out, running)
        }
        _ => Ok(()),
    }
}

/// `tokio-rt-worker (thread 4711)`.
pub(super) fn thread_of(out: &mut impl Write, running: &Running) -> fmt::Result {
    match running.thread_name() {
        Some(name) => write!(out, "{name} (thread {})", running.thread_id()),
        None => write!(out, "thread {}", running.thread_id()),
    }
}

/// Where they were spawned, and by whom.
fn spawned(out: &mut Out<'_, '_>, members: &[Member<'_>], paths: &Paths) -> fmt::Result {
    let tasks = || members.iter().map(|member| member.task);
    let places: BTreeSet<_> = tasks().filter_map(TaskDump::spawned_at).collect();
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

/// Why there is no more than a snapshot, if more was asked for.
fn source(out: &mut Out<'_, '_>, task: &TaskDump) -> fmt::Result {
    let Source::Snapshot { error: Some(error) } = task.source() else {
        return Ok(());
    };
    match error {
        TraceError::NoAnswer { waited, reason } => {
            write!(out, ", no answer within {}", Human(*waited))?;
            match (reason, task.state()) {
                // That is all there is to say.
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
        TraceError::Finished => out.write_str(", finished when it was asked"),
        TraceError::Panicked => out.write_str(", panicked when it was asked"),
        TraceError::NoSample(reason) => write!(out, ", stack not known: {reason}"),
        TraceError::OwnWakers => {
            out.write_str(", not captured: its executor demands wakers of its own")
        }
        TraceError::NoRoom => {
            out.write_str(", not captured: too little room left on the stack of its thread")
        }
        TraceError::InsideOwnPoll => out.write_str(", not asked: it has taken this dump"),
    }
}

fn span(
    members: &[Member<'_>],
    of: impl Fn(&TaskDump) -> Option<Duration>,
) -> Option<Span<Duration>> {
    Span::of(members.iter().filter_map(|member| of(member.task)))
}

/// Writes in colour what is wrong.
fn stands_out<'a, 'b>(
    out: &mut Out<'a, 'b>,
    urgency: Urgency,
    write: impl FnOnce(&mut Out<'a, 'b>) -> fmt::Result,
) -> fmt::Result {
    if !urgency.is_marked() {
        return write(out);
    }
    out.red()?;
    write(out)?;
    out.normal()
}

/// Writes `! ` where something may be wrong.
pub(super) fn mark(out: &mut Out<'_, '_>, urgency: Urgency) -> fmt::Result {
    if !urgency.is_marked() {
        return Ok(());
    }
    out.red()?;
    out.write_str("! ")?;
    out.normal()
}
