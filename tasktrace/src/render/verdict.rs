//! Why a test does not end, in one sentence.
//!
//! What can be told for sure comes first: a thread that is blocked, a wait that nobody can end, tasks
//! that await each other, a future that is held and not polled. Otherwise it is what its body waits
//! for; or where that is other tasks, what they wait for.

use std::time::Duration;

use super::duration::Human;
use super::walk::walk;
use crate::dump::{Hang, Source, Stage, TaskDump, Why};
use crate::task::{NoAnswer, Running, TaskState, TraceError};
use crate::trace::{Frame, Trace, Wait};

/// A poll that takes longer blocks its thread.
const LONG_FOR_A_POLL: Duration = Duration::from_secs(1);

/// So many waits are told.
const FEW: usize = 3;

pub(super) fn of(hang: &Hang) -> String {
    Trace::tidy_all(hang.dump.tasks().map(TaskDump::trace));
    let tasks: Vec<&TaskDump> = concerned(hang);
    // A test that has been running for a moment cannot have been blocked for long.
    let long = match hang.why {
        Why::Timeout => LONG_FOR_A_POLL.min(hang.after / 2),
        Why::Signal(_) => LONG_FOR_A_POLL,
    };
    blocked(hang, &tasks, long)
        .or_else(|| no_waker(&tasks))
        .or_else(|| cycle(hang))
        .or_else(|| waits(hang, &tasks))
        .or_else(|| blocked(hang, &tasks, Duration::ZERO))
        .or_else(|| not_polled(&tasks))
        .unwrap_or_else(|| match hang.stage {
            Stage::Beginning => format!("{} has not been polled yet", place_of(hang)),
            Stage::Body(_) => format!("it is not known what {} is waiting for", place_of(hang)),
            Stage::End => "none of its tasks that are traced is in the way: one that is not, or \
                           what runs in `spawn_blocking`, has not ended"
                .to_owned(),
        })
}

fn place_of(hang: &Hang) -> String {
    format!("{} at {}:{}", hang.name, hang.file, hang.line)
}

/// The tasks of the test, in the order in which they are looked at: its own first, then those that this
/// awaits, then the others.
fn concerned(hang: &Hang) -> Vec<&TaskDump> {
    let mut order: Vec<&TaskDump> = Vec::new();
    if let Stage::Body(root) = hang.stage {
        order.extend(hang.dump.get(root));
    }
    let mut next = 0;
    while let Some(task) = order.get(next).copied() {
        next += 1;
        for awaited in task.awaits().iter().filter_map(|id| hang.dump.get(*id)) {
            if !contains(&order, awaited) {
                order.push(awaited);
            }
        }
    }
    let reached = order.len();
    let others = hang
        .dump
        .tasks()
        .filter(|task| !contains(&order[..reached], task));
    let others: Vec<&TaskDump> = others.collect();
    order.extend(others);
    order
}

fn contains(tasks: &[&TaskDump], task: &TaskDump) -> bool {
    tasks.iter().any(|known| known.id() == task.id())
}

/// A function, and what it waits for, if that has a name.
struct Point<'a> {
    function: Option<&'a Frame>,
    resource: Option<&'a Frame>,
    wait: Option<Wait>,
}

impl Point<'_> {
    /// `app::serve "conn 1" at src/main.rs:10`
    fn function(&self, task: &TaskDump) -> String {
        let name = self.function.map_or("", Frame::name);
        let mut text = match name {
            "" => task.name().to_owned(),
            name => name.to_owned(),
        };
        if let Some(label) = self.function.and_then(Frame::label).or(task.label()) {
            text.push_str(&format!(" {label:?}"));
        }
        if let Some((file, line)) = self.function.and_then(|it| Some((it.file()?, it.line()?))) {
            text.push_str(&format!(" at {file}:{line}"));
        }
        text
    }

    /// How many there are at this very place.
    fn count(&self) -> usize {
        let leaf = self.resource.or(self.function);
        leaf.map_or(1, |leaf| leaf.count().max(1))
    }

    fn resource(&self) -> Option<&str> {
        self.resource.map(Frame::name)
    }
}

/// The places where a task waits.
fn points(task: &TaskDump) -> Vec<Point<'_>> {
    let steps: Vec<_> = walk(task.trace().frames()).collect();
    let leaves = steps.iter().filter(|step| step.frame.children().is_empty());
    leaves
        .map(|step| match step.frame.is_resource() {
            true => Point {
                function: step.parent.map(|parent| steps[parent].frame),
                resource: Some(step.frame),
                wait: step.frame.wait(),
            },
            false => Point {
                function: Some(step.frame),
                resource: None,
                wait: step.frame.wait(),
            },
        })
        .collect()
}

/// Threads that are in polls that do not end.
fn blocked(hang: &Hang, tasks: &[&TaskDump], limit: Duration) -> Option<String> {
    let mut threads: Vec<u64> = Vec::new();
    let mut sentences: Vec<String> = Vec::new();
    for task in tasks {
        let TaskState::Running(running) = task.state() else {
            continue;
        };
        // Where tasks are polled in each other, their stacks lead to the same place.
        if running.duration() >= limit && !threads.contains(&running.thread_id()) {
            threads.push(running.thread_id());
            sentences.push(blocked_thread(hang, task, running));
        }
    }
    match sentences.len() {
        0 => None,
        1..=FEW => Some(sentences.join("; ")),
        many => Some(format!(
            "{}; and {} more",
            sentences[..FEW].join("; "),
            many - FEW
        )),
    }
}

fn blocked_thread(hang: &Hang, task: &TaskDump, running: &Running) -> String {
    let who = match running.thread_id() == hang.thread {
        true => "the test's thread is blocked",
        false => "worker blocked",
    };
    let thread = match (running.thread_name(), running.thread_id()) {
        (Some(name), id) => format!("{name}, thread {id}"),
        (None, id) => format!("thread {id}"),
    };
    let time = Human(running.duration());
    let points = points(task);
    let running = points
        .iter()
        .find(|point| point.wait == Some(Wait::Running));
    let Some(point) = running else {
        return format!("{who} by {} for {time} ({thread})", task.name());
    };
    let function = point.function(task);
    match point.resource() {
        Some(resource) => {
            format!("{who} in {resource}, called by {function}, for {time} ({thread})")
        }
        None => format!(
            "{who} by {function}, which has been running for {time} without an `.await` that \
             waits ({thread})"
        ),
    }
}

/// A wait that nobody can end.
fn no_waker(tasks: &[&TaskDump]) -> Option<String> {
    tasks.iter().find_map(|task| {
        let points = points(task);
        let point = points
            .iter()
            .find(|point| point.wait == Some(Wait::NoWaker))?;
        Some(format!(
            "{} is waiting, and nothing can wake it: it has no waker registered",
            point.function(task)
        ))
    })
}

/// Tasks that await each other.
fn cycle(hang: &Hang) -> Option<String> {
    let forest = hang.dump.by_awaiter();
    let cycle = forest.cycle_positions().first()?.clone();
    let name = |at: &usize| {
        let task = forest.task(*at);
        format!("task {} {}", task.id(), task.name())
    };
    let mut names: Vec<String> = cycle.iter().map(name).collect();
    names.push(names.first()?.clone());
    Some(format!(
        "{}: none of them can go on",
        names.join(" awaits ")
    ))
}

/// What is waited for, the most likely culprit first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// What others have to let go of.
    Lock,
    /// What others have to send, or do.
    Event,
    /// What comes from outside.
    Io,
    /// Other tasks.
    Task,
    /// What ends by itself.
    Time,
}

fn rank(point: &Point<'_>) -> Rank {
    let Some(name) = point.resource() else {
        return Rank::Event;
    };
    let is_any = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if is_any(&["Mutex", "RwLock", "Semaphore", "OnceCell", "BiLock"]) {
        Rank::Lock
    } else if is_any(&[
        "JoinHandle",
        "JoinSet",
        "JoinMap",
        "async_task::Task",
        "TaskTracker",
    ]) {
        Rank::Task
    } else if is_any(&["time::", "Timer", "Delay", "yield_now"]) || name.ends_with("sleep") {
        Rank::Time
    } else if is_any(&[
        "::net",
        "::io",
        "::fs",
        "::process",
        "::signal",
        "async_io",
        "async_net",
    ]) {
        Rank::Io
    } else {
        Rank::Event
    }
}

/// What is waited for.
fn waits(hang: &Hang, tasks: &[&TaskDump]) -> Option<String> {
    let is_own = |task: &TaskDump| hang.stage == Stage::Body(task.id());
    let mut waits: Vec<(Rank, bool, &TaskDump, Point<'_>)> = Vec::new();
    for task in tasks {
        let waiting = points(task).into_iter().filter(|point| {
            // Waiting for another task of which more is known says nothing.
            let is_link = point.resource.is_none() && !task.awaits().is_empty();
            point.wait.is_some() && point.wait != Some(Wait::Running) && !is_link
        });
        waits.extend(waiting.map(|point| (rank(&point), !is_own(task), *task, point)));
    }
    let held = waits
        .iter()
        .position(|(.., point)| point.wait == Some(Wait::NotPolled));
    let held = held.map(|at| waits.remove(at));
    // By rank, and of equals those of the test's own task first.
    waits.sort_by_key(|(rank, is_other, ..)| (*rank, *is_other));
    let own = waits.iter().filter(|(_, is_other, ..)| !is_other);
    let own_rank = own.map(|(rank, ..)| *rank).min();
    // What the body waits for is what matters, unless that is other tasks.
    let most = match own_rank {
        Some(rank) if rank < Rank::Task && hang.stage != Stage::End => {
            waits.retain(|(other, is_other, ..)| !is_other || *other == rank);
            rank
        }
        _ => waits.first()?.0,
    };
    waits.retain(|(rank, ..)| *rank == most);
    let count: usize = waits.iter().map(|(.., point)| point.count()).sum();

    // Those that wait at the same place for the same thing are told together.
    let mut places: Vec<(String, Option<&str>, Option<Wait>, usize)> = Vec::new();
    for (_, _, task, point) in &waits {
        let (function, resource) = (point.function(task), point.resource());
        let known = places
            .iter_mut()
            .find(|(name, of, ..)| *name == function && *of == resource);
        match known {
            Some((.., count)) => *count += point.count(),
            None => places.push((function, resource, point.wait, point.count())),
        }
    }
    let mut text = String::new();
    let mut last_resource = None;
    for (at, (function, resource, wait, count)) in places.iter().take(FEW).enumerate() {
        if at > 0 {
            text.push_str(", and ");
        }
        let (times, is) = match count {
            1 => (String::new(), "is"),
            count => (format!("{count} × "), "are"),
        };
        text.push_str(&match (resource, last_resource) {
            (resource, Some(last)) if *resource == last => format!("so {is} {times}{function}"),
            (Some(resource), _) => format!("{times}{function} {is} waiting on {resource}"),
            (None, _) if *wait == Some(Wait::Suspended) => {
                format!("{times}{function} {is} suspended")
            }
            (None, _) => format!("{times}{function} {is} waiting"),
        });
        last_resource = Some(*resource);
    }
    if places.len() > FEW {
        text.push_str(&format!(", and {} more", places.len() - FEW));
    }
    if let Some((_, _, task, point)) = held {
        let function = point.function(task);
        let time = point.function.and_then(Frame::not_polled_for);
        let time = time.map(|time| format!(" for {}", Human(time)));
        text.push_str(&format!(
            ", while {function} is held, but not polled{}, by the same task",
            time.unwrap_or_default()
        ));
    } else if most == Rank::Lock && count > 1 {
        text.push_str(": a deadlock, if each holds what another waits for");
    }
    Some(text)
}

/// An executor that does nothing.
fn not_polled(tasks: &[&TaskDump]) -> Option<String> {
    tasks.iter().find_map(|task| match task.source() {
        Source::Snapshot {
            error:
                Some(TraceError::NoAnswer {
                    reason: NoAnswer::NotPolled,
                    ..
                }),
        } => Some(format!(
            "{} was woken, but its executor does not poll it",
            task.name()
        )),
        Source::Snapshot {
            error: Some(TraceError::NeverPolled),
        } => Some(format!(
            "{} has never been polled by its executor",
            task.name()
        )),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
