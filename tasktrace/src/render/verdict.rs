//! Words the verdict about a hung test: the cause that [`diagnosis`](crate::diagnosis) found, in one sentence.

use std::time::Duration;

use super::duration::HumanDuration;
use super::inspected;
use super::text::HIDDEN_CHILDREN;
use super::untraced;
use super::{header, place};
use crate::diagnosis::{
    BlockedThread, Cause, Certainty, WaitPoint, WaitRank, WaitingFunction, find_cause, without_type,
};
use crate::dump::{Dump, Hang, TaskDump, TestStage};
use crate::origin::Title;
use crate::symbol::PathShortener;
use crate::trace::{Frame, PANIC_HOOK, Wait};

/// The number of waits, threads or resources that a verdict names.
const FEW: usize = 3;

/// Returns the cause of a hang in one sentence.
pub(super) fn of(hang: &Hang) -> String {
    let cause = find_cause(hang);
    // The holder of a lock explains more than the wait for the lock.
    if may_be_better_known(hang, &cause)
        && let Some(text) = inspected::cause(hang)
    {
        return text;
    }
    match cause {
        Cause::Blocked(threads) => blocked(hang, &threads),
        // The test finished late. So the tasks that still wait did not hold it up.
        _ if hang.stage == TestStage::Late => format!(
            "{} continued when its tasks were woken for this dump: likely a wake-up was lost, or arrived at the same \
             time",
            place_of(hang)
        ),
        Cause::Held(held, waits) => {
            let time = held.frame.not_polled_for();
            let time = time.map(|time| format!(" for {}", HumanDuration(time)));
            format!(
                "{}, while {} is held, but not polled{}, by the same task",
                waiting(&hang.dump, &waits),
                subject(&held),
                time.unwrap_or_default()
            )
        }
        Cause::Cycle(tasks, certainty) => {
            let name = |task: &&_| name_of(task);
            let mut names: Vec<String> = tasks.iter().map(name).collect();
            names.extend(names.first().cloned());
            format!("{}: {}", names.join(" awaits "), none_can_go_on(certainty))
        }
        Cause::Starved(task, Certainty::Certain) => {
            let name = name_and_spawn_site(task);
            format!("{name} was woken, but its executor does not poll it")
        }
        Cause::Starved(task, Certainty::Likely) => {
            let name = name_and_spawn_site(task);
            let unpolled = task.unpolled.map(|unpolled| unpolled.for_);
            let time = unpolled.map(|time| format!(" {} ago", HumanDuration(time)));
            format!(
                "{name} was woken{}, and has not been polled since: likely its executor does not poll it, unless \
                 the process gets too little processor time",
                time.unwrap_or_default()
            )
        }
        Cause::Waits(waits) => {
            let count: usize = waits.iter().map(|waiting| waiting.count).sum();
            let is_deadlock = count > 1 && waits[0].first().rank == WaitRank::Lock;
            let mut text = waiting(&hang.dump, &waits);
            if is_deadlock {
                text.push_str(": a deadlock, if each holds what another waits for");
            }
            text
        }
        Cause::NoWaker(point, certainty) => no_waker(&subject(&point), certainty),
        Cause::NeverPolled(task) => {
            format!(
                "{} has never been polled by its executor",
                name_and_spawn_site(task)
            )
        }
        Cause::Unknown => match hang.stage {
            TestStage::Beginning => format!("{} has not been polled yet", place_of(hang)),
            TestStage::Body(_) => format!("it is not known what {} is waiting for", place_of(hang)),
            TestStage::End | TestStage::Late => {
                "no traced task prevents it: an untraced task, or a closure in `spawn_blocking`, has not ended"
                    .to_owned()
            }
        },
    }
}

/// Returns `true` if memory may show the reason for a cause, or a better cause.
fn may_be_better_known(hang: &Hang, cause: &Cause<'_>) -> bool {
    match cause {
        _ if hang.stage == TestStage::Late => false,
        Cause::Blocked(_) | Cause::Held(..) => false,
        Cause::Cycle(_, certainty) | Cause::Starved(_, certainty) => {
            *certainty == Certainty::Likely
        }
        Cause::Waits(_) | Cause::NoWaker(..) | Cause::NeverPolled(_) | Cause::Unknown => true,
    }
}

/// Returns the name of the test and the location of its definition.
fn place_of(hang: &Hang) -> String {
    let mut text = hang.name.clone();
    // Writing to a string cannot fail.
    let _ = place::write_definition(&mut text, hang.file, hang.line);
    text
}

/// Returns the function that waits, with its label and its line: `app::serve "conn 1" at src/main.rs:10`. If the task
/// runs no function of the program, returns its name, and the line that spawned it.
fn subject(point: &WaitPoint<'_>) -> String {
    if point.function.is_some_and(Frame::is_dependency) && point.task.spawned_at().is_some() {
        return name_and_spawn_site(point.task);
    }
    let mut text = Title::new(point.name(), point.label()).to_string();
    if let Some(function) = point.function {
        // Writing to a string cannot fail.
        let _ = place::write_line(&mut text, function);
    }
    text
}

/// Returns the name of a task that has no line at which it waits: `app::serve (spawned at src/main.rs:10)`.
fn name_and_spawn_site(task: &crate::dump::TaskDump) -> String {
    let name = task.name();
    let paths = PathShortener::new();
    match place::unless_in_name(task.spawned_at(), name, &paths) {
        Some(place) => {
            let file = paths.shorten(place.file());
            format!("{name} (spawned at {file}:{})", place.line())
        }
        None => name.to_owned(),
    }
}

/// Returns the number, the name and the label of a task.
fn name_of(task: &crate::dump::TaskDump) -> String {
    format!("task {} {}", task.id(), header::title(task))
}

/// Returns the consequence of a cycle of tasks.
pub(super) fn none_can_go_on(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Certain => "none of them can go on",
        // A task in a `select!` may wait for something else, which would free it.
        Certainty::Likely => {
            "none of them can go on, unless one of them also waits for something else"
        }
    }
}

fn no_waker(subject: &str, certainty: Certainty) -> String {
    match certainty {
        Certainty::Certain => {
            format!("{subject} is waiting, and nothing can wake it: it has no waker registered")
        }
        Certainty::Likely => format!(
            "{subject} registered no waker in this poll: nothing can wake it, unless it kept the waker of an earlier \
             poll"
        ),
    }
}

/// Returns a sentence about the threads that are blocked.
fn blocked(hang: &Hang, threads: &[BlockedThread<'_>]) -> String {
    // Threads with the same text are named once, with their number.
    let text_key = |blocked: &BlockedThread<'_>| {
        let point = blocked.point.as_ref();
        let operation = point.map(|it| it.operation());
        (point.map(subject), operation, blocked.running.computes())
    };
    let mut groups: Vec<(&BlockedThread<'_>, usize)> = Vec::new();
    for blocked in threads {
        let has_same_text = |known: &BlockedThread<'_>| {
            known.point.is_some()
                && known.running.thread_id() != hang.thread
                && blocked.running.thread_id() != hang.thread
                && text_key(known) == text_key(blocked)
        };
        match groups.iter_mut().find(|(known, _)| has_same_text(known)) {
            Some((_, count)) => *count += 1,
            None => groups.push((blocked, 1)),
        }
    }
    let sentence = |(blocked, count): &(&BlockedThread<'_>, usize)| {
        let text = blocked_thread(hang, blocked);
        match count - 1 {
            0 => text,
            1 => format!("{text}, and 1 more worker is in the same state"),
            more => format!("{text}, and {more} more workers are in the same state"),
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

/// Returns a sentence about one blocked thread.
fn blocked_thread(hang: &Hang, blocked: &BlockedThread<'_>) -> String {
    let running = blocked.running;
    let who = match running.thread_id() == hang.thread {
        true => "the test's thread is blocked",
        false => "worker blocked",
    };
    let thread = match (running.thread_name(), running.thread_id()) {
        (Some(name), id) => format!("{name}, thread {id}"),
        (None, id) => format!("thread {id}"),
    };
    let time = HumanDuration(running.duration());
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
        return format!(
            "{thread_of} computes without yielding in {function}: it has been running for {time} without \
             an `.await` that waits ({thread})"
        );
    }
    match point.operation() {
        Some(operation) => {
            format!("{who} in {operation}, called by {function}, for {time} ({thread})")
        }
        None => format!(
            "{who} by {function}, which has been running for {time} without an `.await` that \
             waits ({thread})"
        ),
    }
}

/// Returns a sentence about functions that wait: `app::a at src/main.rs:20 is waiting on tokio::sync::Mutex::lock, and
/// so is app::b at src/main.rs:30`.
fn waiting(dump: &Dump, all: &[WaitingFunction<'_>]) -> String {
    let mut text = String::new();
    let mut last: Option<String> = None;
    for (at, waiting) in all.iter().take(FEW).enumerate() {
        if at > 0 {
            text.push_str(", and ");
        }
        if let Some(polls) = waiting.first().spin_rate() {
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
        let mut predicate = wait(&waiting.points);
        // Either the function is called several times, or one call waits for several things. A dump does not
        // distinguish the two.
        if waiting.count > waiting.tasks {
            predicate.push_str(&format!(" (×{})", waiting.count));
        }
        match &last {
            Some(last) if *last == predicate => text.push_str(&format!("so {is} {times}{subject}")),
            _ => text.push_str(&format!("{times}{subject} {is} {predicate}")),
        }
        last = Some(predicate);
    }
    if all.len() > FEW {
        text.push_str(&format!(", and {} more", all.len() - FEW));
    }
    let points = || all.iter().flat_map(|waiting| waiting.points.iter());
    let awaited = points().find_map(|point| {
        let hint = untraced::awaited(point.resource()?, dump)?;
        let known = dump
            .inspected()
            .and_then(|inspection| inspected::awaited(inspection, point.task.id()));
        Some(known.map_or_else(|| format!(" ({hint})"), |known| format!("; {known}")))
    });
    text.push_str(&awaited.unwrap_or_default());
    let mut resources = points().filter_map(|point| point.resource);
    if resources.any(Frame::hides_children) {
        text.push_str(&format!(" ({HIDDEN_CHILDREN})"));
    }
    let has_spin_rate = all
        .iter()
        .any(|waiting| waiting.first().spin_rate().is_some());
    let busy = points().find_map(|point| often_polled(point.task));
    text.push_str(&busy.filter(|_| !has_spin_rate).unwrap_or_default());
    text
}

/// The least number of polls per second, on average since its creation, of a task that is polled often.
const OFTEN: f64 = 1_000.0;

/// The longest time since the last poll of a task that is still polled often.
const RECENT: Duration = Duration::from_millis(100);

/// Returns a remark about a waiting task that is polled again and again, such as one of two tasks that only wake each
/// other. Returns `None` for other tasks.
fn often_polled(task: &TaskDump) -> Option<String> {
    let (polls, age) = (task.polls(), task.age());
    let is_recent = task.last_polled().is_some_and(|time| time < RECENT);
    (is_recent && polls as f64 >= OFTEN * age.as_secs_f64().max(1.0)).then(|| {
        let (id, age) = (task.id(), HumanDuration(age));
        format!(" (task {id} is polled again and again: {polls} polls in {age})")
    })
}

/// Returns a sentence about one wait: `app::a at src/main.rs:20 is waiting on tokio::sync::Mutex::lock`.
pub(super) fn of_point(point: &WaitPoint<'_>) -> String {
    format!("{} is {}", subject(point), wait(&[*point]))
}

/// Returns the resource in which the coop budget of a ready function was used up.
fn budget_spent(point: &WaitPoint<'_>) -> Option<String> {
    let resource = point.resource().filter(|_| point.is_out_of_budget())?;
    Some(format!("its coop budget was used up in {resource}"))
}

/// Returns the predicate of a sentence about a wait: `waiting on tokio::net::TcpStream::read or
/// CancellationToken::cancelled`.
fn wait(points: &[WaitPoint<'_>]) -> String {
    if let Some(spent) = points.first().and_then(budget_spent) {
        return format!("ready, but {spent}");
    }
    let mut text = String::new();
    let mut preposition = "";
    let mut objects: Vec<String> = Vec::new();
    for point in points.iter().take(FEW) {
        let name = |name: &str| match objects.is_empty() {
            true => name.to_owned(),
            false => shorten(name, &objects),
        };
        let Some((on, object)) = object_of_wait(point, name) else {
            continue;
        };
        text.push_str(if text.is_empty() { "waiting " } else { " or " });
        if on != preposition {
            text.push_str(on);
            text.push(' ');
            preposition = on;
        }
        text.push_str(&object);
        objects.push(object);
    }
    match points.first().and_then(|point| point.wait()) {
        _ if !text.is_empty() => text,
        Some(Wait::Suspended) => "suspended".to_owned(),
        _ => "waiting".to_owned(),
    }
}

/// Returns the preposition and the object of a wait: the resource, or the library in which the function waits.
/// `name` shortens the path.
fn object_of_wait(
    point: &WaitPoint<'_>,
    name: impl Fn(&str) -> String,
) -> Option<(&'static str, String)> {
    Some(match (point.library(), point.awaited()) {
        (Some(library), Some(awaited)) => {
            let awaited = without_type(&awaited, &library);
            ("in", format!("{} ({awaited})", name(&library)))
        }
        (Some(library), None) => ("in", name(&library)),
        (None, Some(awaited)) => ("on", name(&awaited)),
        (None, None) => return None,
    })
}

/// Returns the last two segments of a path: `CancellationToken::cancelled` of
/// `tokio_util::sync::CancellationToken::cancelled`. Returns more segments if one of the `previous` names ends with
/// these.
fn shorten(path: &str, previous: &[String]) -> String {
    let ends = path.rmatch_indices("::").map(|(at, _)| &path[at + 2..]);
    let is_new = |end: &&str| !previous.iter().any(|name| name.ends_with(end));
    ends.skip(1).find(is_new).unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests;
