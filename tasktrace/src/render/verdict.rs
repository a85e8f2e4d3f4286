//! Why a test does not end, in one sentence: what [`diagnosis`](crate::diagnosis) has found, in words.

use super::duration::Human;
use super::text::HIDDEN_CHILDREN;
use super::untraced;
use super::{header, place};
use crate::diagnosis::{Blocked, Cause, Point, Rank, Sure, Waiting, of_hang};
use crate::dump::{Dump, Hang, Stage};
use crate::origin::Title;
use crate::symbol::Paths;
use crate::trace::{Frame, PANIC_HOOK, Wait};

/// So many waits are told.
const FEW: usize = 3;

pub(super) fn of(hang: &Hang) -> String {
    match of_hang(hang) {
        Cause::Blocked(threads) => blocked(hang, &threads),
        // A task that still waits then was not in the way.
        _ if hang.stage == Stage::Late => format!(
            "{} went on when its tasks were woken to be looked at: likely a wake-up was lost, or came at the \
             same time",
            place_of(hang)
        ),
        Cause::Held(held, waits) => {
            let time = held.frame.not_polled_for();
            let time = time.map(|time| format!(" for {}", Human(time)));
            format!(
                "{}, while {} is held, but not polled{}, by the same task",
                waiting(&hang.dump, &waits),
                subject(&held),
                time.unwrap_or_default()
            )
        }
        Cause::Cycle(tasks, sure) => {
            let name = |task: &&_| name_of(task);
            let mut names: Vec<String> = tasks.iter().map(name).collect();
            names.extend(names.first().cloned());
            format!("{}: {}", names.join(" awaits "), none_can_go_on(sure))
        }
        Cause::Starved(task, Sure::Certain) => {
            let name = named(task);
            format!("{name} was woken, but its executor does not poll it")
        }
        Cause::Starved(task, Sure::Likely) => {
            let name = named(task);
            let unpolled = task.unpolled.map(|unpolled| unpolled.for_);
            let time = unpolled.map(|time| format!(" {} ago", Human(time)));
            format!(
                "{name} was woken{}, and has not been polled since: likely its executor does not poll it, unless \
                 the process gets too little processor time",
                time.unwrap_or_default()
            )
        }
        Cause::Waits(waits) => {
            let count: usize = waits.iter().map(|waiting| waiting.count).sum();
            let is_deadlock = count > 1 && waits[0].first().rank == Rank::Lock;
            let mut text = waiting(&hang.dump, &waits);
            if is_deadlock {
                text.push_str(": a deadlock, if each holds what another waits for");
            }
            text
        }
        Cause::NoWaker(point, sure) => no_waker(&subject(&point), sure),
        Cause::NeverPolled(task) => {
            format!("{} has never been polled by its executor", named(task))
        }
        Cause::Unknown => match hang.stage {
            Stage::Beginning => format!("{} has not been polled yet", place_of(hang)),
            Stage::Body(_) => format!("it is not known what {} is waiting for", place_of(hang)),
            Stage::End | Stage::Late => {
                "none of its tasks that are traced is in the way: one that is not, or what runs in \
                 `spawn_blocking`, has not ended"
                    .to_owned()
            }
        },
    }
}

fn place_of(hang: &Hang) -> String {
    let mut text = hang.name.clone();
    // A string takes whatever is written.
    let _ = place::write_definition(&mut text, hang.file, hang.line);
    text
}

/// `app::serve "conn 1" at src/main.rs:10`.
fn subject(point: &Point<'_>) -> String {
    let mut text = Title::new(point.name(), point.label()).to_string();
    if let Some(function) = point.function {
        // A string takes whatever is written.
        let _ = place::write_line(&mut text, function);
    }
    text
}

/// `app::serve (spawned at src/main.rs:10)`: of tasks that have no line at which they wait.
fn named(task: &crate::dump::TaskDump) -> String {
    let name = task.name();
    match task.spawned_at() {
        Some(place) => {
            let file = Paths::new().shorten(place.file());
            format!("{name} (spawned at {file}:{})", place.line())
        }
        None => name.to_owned(),
    }
}

fn name_of(task: &crate::dump::TaskDump) -> String {
    format!("task {} {}", task.id(), header::title(task))
}

pub(super) fn none_can_go_on(sure: Sure) -> &'static str {
    match sure {
        Sure::Certain => "none of them can go on",
        // A task in a `select!` may wait for something else, which would free it.
        Sure::Likely => "none of them can go on, unless one of them also waits for something else",
    }
}

fn no_waker(subject: &str, sure: Sure) -> String {
    match sure {
        Sure::Certain => {
            format!("{subject} is waiting, and nothing can wake it: it has no waker registered")
        }
        Sure::Likely => format!(
            "{subject} registered no waker in this poll: nothing can wake it, unless it kept that of \
             an earlier one"
        ),
    }
}

fn blocked(hang: &Hang, threads: &[Blocked<'_>]) -> String {
    // Threads of which the same would be said are said once, with their number.
    let place = |blocked: &Blocked<'_>| {
        let point = blocked.point.as_ref();
        let inside = point.map(|it| (it.library(), it.resource().map(str::to_owned)));
        (point.map(subject), inside, blocked.running.computes())
    };
    let mut groups: Vec<(&Blocked<'_>, usize)> = Vec::new();
    for blocked in threads {
        let is_alike = |known: &Blocked<'_>| {
            known.point.is_some()
                && known.running.thread_id() != hang.thread
                && blocked.running.thread_id() != hang.thread
                && place(known) == place(blocked)
        };
        match groups.iter_mut().find(|(known, _)| is_alike(known)) {
            Some((_, count)) => *count += 1,
            None => groups.push((blocked, 1)),
        }
    }
    let sentence = |(blocked, count): &(&Blocked<'_>, usize)| {
        let text = blocked_thread(hang, blocked);
        match count - 1 {
            0 => text,
            1 => format!("{text}, and 1 more worker likewise"),
            more => format!("{text}, and {more} more workers likewise"),
        }
    };
    let sentences: Vec<String> = groups.iter().take(FEW).map(sentence).collect();
    let mut text = sentences.join("; ");
    if groups.len() > FEW {
        let more: usize = groups[FEW..].iter().map(|(_, count)| count).sum();
        text.push_str(&format!("; and {more} more"));
    }
    text
}

fn blocked_thread(hang: &Hang, blocked: &Blocked<'_>) -> String {
    let running = blocked.running;
    let who = match running.thread_id() == hang.thread {
        true => "the test's thread is blocked",
        false => "worker blocked",
    };
    let thread = match (running.thread_name(), running.thread_id()) {
        (Some(name), id) => format!("{name}, thread {id}"),
        (None, id) => format!("thread {id}"),
    };
    let time = Human(running.duration());
    let Some(point) = &blocked.point else {
        return format!("{who} by {} for {time} ({thread})", blocked.task.name());
    };
    let function = subject(point);
    let thread_of = match running.thread_id() == hang.thread {
        true => "the test's thread",
        false => "worker",
    };
    if point.resource() == Some(PANIC_HOOK) {
        return format!(
            "{thread_of} is in {PANIC_HOOK}, called by {function}, for {time} ({thread})"
        );
    }
    if running.computes() == Some(true) {
        let who = thread_of;
        return format!(
            "{who} computes without yielding in {function}: it has been running for {time} without \
             an `.await` that waits ({thread})"
        );
    }
    let inside = match (point.library(), point.resource()) {
        (Some(library), Some(resource)) => Some(format!("{library} ({resource})")),
        (None, Some(resource)) => Some(resource.to_owned()),
        (library, None) => library,
    };
    match inside {
        Some(inside) => format!("{who} in {inside}, called by {function}, for {time} ({thread})"),
        None => format!(
            "{who} by {function}, which has been running for {time} without an `.await` that \
             waits ({thread})"
        ),
    }
}

/// `app::a at src/main.rs:20 is waiting on tokio::sync::Mutex::lock, and so is app::b at src/main.rs:30`.
fn waiting(dump: &Dump, all: &[Waiting<'_>]) -> String {
    let mut text = String::new();
    let mut last: Option<String> = None;
    for (at, waiting) in all.iter().take(FEW).enumerate() {
        if at > 0 {
            text.push_str(", and ");
        }
        if let Some(polls) = waiting.first().spins() {
            let subject = subject(waiting.first());
            text.push_str(&format!("{subject} spins: {polls} polls a second"));
            if let Some(spent) = budget_spent(waiting.first()) {
                text.push_str(&format!(" ({spent})"));
            }
            continue;
        }
        let (times, is) = match waiting.tasks {
            1 => (String::new(), "is"),
            tasks => (format!("{tasks} × "), "are"),
        };
        let subject = subject(waiting.first());
        let mut what = wait(&waiting.points);
        // A function that is called twice, or one that waits for two things: it cannot be told.
        if waiting.count > waiting.tasks {
            what.push_str(&format!(" (×{})", waiting.count));
        }
        match &last {
            Some(last) if *last == what => text.push_str(&format!("so {is} {times}{subject}")),
            _ => text.push_str(&format!("{times}{subject} {is} {what}")),
        }
        last = Some(what);
    }
    if all.len() > FEW {
        text.push_str(&format!(", and {} more", all.len() - FEW));
    }
    let told = || all.iter().flat_map(|waiting| waiting.points.iter());
    let awaited = told().filter_map(|point| untraced::awaited(point.resource()?, dump));
    if let Some(hint) = awaited.into_iter().next() {
        text.push_str(&format!(" ({hint})"));
    }
    let mut resources = told().filter_map(|point| point.resource);
    if resources.any(Frame::hides_children) {
        text.push_str(&format!(" ({HIDDEN_CHILDREN})"));
    }
    text
}

/// `app::a at src/main.rs:20 is waiting on tokio::sync::Mutex::lock`.
pub(super) fn of_point(point: &Point<'_>) -> String {
    format!("{} is {}", subject(point), wait(&[*point]))
}

/// Says of a function that is ready where its budget was used up.
fn budget_spent(point: &Point<'_>) -> Option<String> {
    let resource = point.resource().filter(|_| point.is_out_of_budget())?;
    Some(format!("its coop budget was used up in {resource}"))
}

/// `waiting on tokio::net::TcpStream::read or CancellationToken::cancelled`.
fn wait(points: &[Point<'_>]) -> String {
    if let Some(spent) = points.first().and_then(budget_spent) {
        return format!("ready, but {spent}");
    }
    let mut text = String::new();
    let mut preposition = "";
    let mut told: Vec<String> = Vec::new();
    for point in points.iter().take(FEW) {
        let name = |name: &str| match told.is_empty() {
            true => name.to_owned(),
            false => short(name, &told),
        };
        let Some((on, what)) = what(point, name) else {
            continue;
        };
        text.push_str(if text.is_empty() { "waiting " } else { " or " });
        if on != preposition {
            text.push_str(on);
            text.push(' ');
            preposition = on;
        }
        text.push_str(&what);
        told.push(what);
    }
    match points.first().and_then(|point| point.wait()) {
        _ if !text.is_empty() => text,
        Some(Wait::Suspended) => "suspended".to_owned(),
        _ => "waiting".to_owned(),
    }
}

/// Writes the resource that is waited for, or the library that is waited in, by its `name`.
fn what(point: &Point<'_>, name: impl Fn(&str) -> String) -> Option<(&'static str, String)> {
    Some(match (point.library(), point.resource()) {
        (Some(library), Some(resource)) => ("in", format!("{} ({resource})", name(&library))),
        (Some(library), None) => ("in", name(&library)),
        (None, Some(resource)) => ("on", name(resource)),
        (None, None) => return None,
    })
}

/// `CancellationToken::cancelled` of `tokio_util::sync::CancellationToken::cancelled`. More of the path, if a name that
/// was told ends in the same way.
fn short(path: &str, told: &[String]) -> String {
    let ends = path.rmatch_indices("::").map(|(at, _)| &path[at + 2..]);
    let is_new = |end: &&str| !told.iter().any(|told| told.ends_with(end));
    ends.skip(1).find(is_new).unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests;
