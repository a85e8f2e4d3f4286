//! Why a test does not end.
//!
//! The culprit is sought in circles: the body, the tasks that it awaits, those that they have spawned, and
//! the other tasks of the test. A lock comes first, in whichever circle a task waits for it. Otherwise what the inner circles
//! wait for comes before what the outer ones do, which may be idle.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ptr;
use std::time::Duration;

use super::point::{Point, points};
use super::rank::is_beside_a_wait;
use super::{LONG_FOR_A_POLL, Rank};
use crate::dump::{Hang, Source, Stage, TaskDump, Why};
use crate::task::{Running, TaskId, TaskState, TraceError};
use crate::trace::{Frame, Wait};

/// Why a test does not end, as far as it can be told.
pub(crate) enum Cause<'a> {
    /// Threads are in polls that do not end. Certain.
    Blocked(Vec<Blocked<'a>>),
    /// A task holds a future that it does not poll, while it waits for something else. Certain.
    Held(Point<'a>, Vec<Waiting<'a>>),
    /// Each of these awaits the next, and the last the first. Certain, unless one of them also waits for
    /// something else.
    Cycle(Vec<&'a TaskDump>, Sure),
    /// It was woken, and has not been polled since.
    Starved(&'a TaskDump, Sure),
    /// Something is waited for: the likeliest.
    Waits(Vec<Waiting<'a>>),
    /// It has registered no waker. Certain if there was no earlier poll in which it could have.
    NoWaker(Point<'a>, Sure),
    /// It has never been polled.
    NeverPolled(&'a TaskDump),
    /// Nothing is known.
    Unknown,
}

/// How sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sure {
    Certain,
    Likely,
}

/// A thread in a poll that does not end.
pub(crate) struct Blocked<'a> {
    pub(crate) task: &'a TaskDump,
    pub(crate) running: &'a Running,
    /// Where the thread is, if that is known.
    pub(crate) point: Option<Point<'a>>,
}

/// A function that waits, and for what: the likeliest first. Never empty.
pub(crate) struct Waiting<'a> {
    pub(crate) points: Vec<Point<'a>>,
    /// How many waits these are. A function that waits for several things at once, as in a `join!`, has as many.
    pub(crate) count: usize,
    /// How many tasks wait so.
    pub(crate) tasks: usize,
    /// The task that was counted last.
    last: TaskId,
}

impl<'a> Waiting<'a> {
    pub(crate) fn first(&self) -> &Point<'a> {
        &self.points[0]
    }
}

/// How near a task is to the body of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Circle {
    Body,
    Awaited,
    Spawned,
    Other,
}

impl Circle {
    /// Returns `true` if the body cannot go on before such a task does.
    fn is_inner(self) -> bool {
        self <= Self::Awaited
    }
}

/// Why the test does not end.
pub(crate) fn of_hang(hang: &Hang) -> Cause<'_> {
    // A test that has been running for a moment cannot have been blocked for long.
    let long = match hang.why {
        Why::Timeout => LONG_FOR_A_POLL.min(hang.after / 2),
        Why::Signal(_) => LONG_FOR_A_POLL,
    };
    let tasks = circles(hang);
    blocked(&tasks, long)
        .or_else(|| held(&tasks, long))
        .or_else(|| cycle(hang))
        .or_else(|| starved(&tasks).filter(Cause::is_certain))
        .or_else(|| waits(hang, &tasks).filter(Cause::says_for_what))
        // The process may get too little processor time, and then that is no cause.
        .or_else(|| starved(&tasks))
        .or_else(|| waits(hang, &tasks))
        .or_else(|| blocked(&tasks, Duration::ZERO))
        .or_else(|| tasks.iter().find_map(|(_, task)| not_polled(task)))
        .unwrap_or(Cause::Unknown)
}

/// The tasks of the test, and how near each is to the body: the nearest first.
fn circles(hang: &Hang) -> Vec<(Circle, &TaskDump)> {
    let tasks: Vec<&TaskDump> = hang.dump.tasks().collect();
    let position = |id| tasks.binary_search_by_key(&id, |task| task.id()).ok();
    let mut circles = vec![Circle::Other; tasks.len()];
    let mut order: Vec<usize> = Vec::new();
    if let Stage::Body(root) = hang.stage {
        order.extend(position(root));
    }
    for at in &order {
        circles[*at] = Circle::Body;
    }
    let mut next = 0;
    while let Some(at) = order.get(next).copied() {
        next += 1;
        for awaited in tasks[at].awaits().iter().filter_map(|id| position(*id)) {
            if circles[awaited] == Circle::Other {
                circles[awaited] = Circle::Awaited;
                order.push(awaited);
            }
        }
    }
    // A task has a higher number than the one that spawned it if the same thread made both. Where it has
    // not, another round finds it.
    loop {
        let before = order.len();
        for at in 0..tasks.len() {
            let parent = tasks[at].parent().and_then(position);
            if circles[at] == Circle::Other
                && parent.is_some_and(|parent| circles[parent] != Circle::Other)
            {
                circles[at] = Circle::Spawned;
                order.push(at);
            }
        }
        if order.len() == before {
            break;
        }
    }
    order.extend((0..tasks.len()).filter(|at| circles[*at] == Circle::Other));
    let order = order.into_iter();
    order.map(|at| (circles[at], tasks[at])).collect()
}

fn blocked<'a>(tasks: &[(Circle, &'a TaskDump)], limit: Duration) -> Option<Cause<'a>> {
    let mut all: Vec<Blocked<'a>> = Vec::new();
    for (_, task) in tasks {
        let TaskState::Running(running) = task.state() else {
            continue;
        };
        // Where tasks are polled in each other, their stacks lead to the same place.
        let is_known = |known: &Blocked<'_>| known.running.thread_id() == running.thread_id();
        if running.duration() >= limit && !all.iter().any(is_known) {
            let mut points = points(task).into_iter();
            let point = points.find(|point| point.wait() == Some(Wait::Running));
            all.push(Blocked {
                task,
                running,
                point,
            });
        }
    }
    (!all.is_empty()).then_some(Cause::Blocked(all))
}

/// A future that is held, and what its task waits for meanwhile. A task that the body does not await is
/// told only if it waits for a lock: any `select!` may hold what it does not poll.
fn held<'a>(tasks: &[(Circle, &'a TaskDump)], limit: Duration) -> Option<Cause<'a>> {
    tasks.iter().find_map(|(circle, task)| {
        let is_long = |frame: &Frame| frame.not_polled_for().is_none_or(|time| time >= limit);
        let (held, mut waits): (Vec<_>, Vec<_>) = points(task)
            .into_iter()
            .filter(Point::is_wait)
            .partition(|point| point.wait() == Some(Wait::NotPolled));
        let held = held.into_iter().find(|point| is_long(point.frame))?;
        waits.sort_by_key(|point| point.rank);
        let best = waits.first()?.rank;
        if !circle.is_inner() && best != Rank::Lock {
            return None;
        }
        waits.retain(|point| point.rank == best);
        Some(Cause::Held(held, together(waits)))
    })
}

/// The waits of a task. A function that has used up its budget is ready: whatever else it has registered for in that
/// poll is not what keeps it.
fn task_waits(task: &TaskDump) -> Vec<Point<'_>> {
    let is_wait = |point: &Point<'_>| point.is_wait() && point.wait() != Some(Wait::NotPolled);
    let mut points: Vec<Point<'_>> = points(task).into_iter().filter(is_wait).collect();
    let function = |point: &Point<'_>| point.function.map(ptr::from_ref);
    let out_of_budget = points.iter().filter(|point| point.is_out_of_budget());
    let ready: HashSet<_> = out_of_budget.filter_map(function).collect();
    points.retain(|point| {
        point.is_out_of_budget() || !function(point).is_some_and(|it| ready.contains(&it))
    });
    points
}

fn cycle(hang: &Hang) -> Option<Cause<'_>> {
    let forest = hang.dump.by_awaiter();
    let cycle = forest.cycle_positions().first()?;
    let tasks: Vec<&TaskDump> = cycle.iter().map(|at| forest.task(*at)).collect();
    let sure = sure_of_cycle(tasks.iter().copied());
    Some(Cause::Cycle(tasks, sure))
}

/// Returns how certain it is that tasks that await each other do not go on: one that also waits for something else
/// may be freed by that.
pub(crate) fn sure_of_cycle<'a>(mut tasks: impl Iterator<Item = &'a TaskDump>) -> Sure {
    let waits_for_one = |task: &TaskDump| {
        let leaves: usize = task.trace().leaves().iter().map(|leaf| leaf.count()).sum();
        leaves <= 1 && task.awaits().len() == 1
    };
    match tasks.all(waits_for_one) {
        true => Sure::Certain,
        false => Sure::Likely,
    }
}

impl Cause<'_> {
    fn is_certain(&self) -> bool {
        !matches!(self, Self::Starved(_, Sure::Likely))
    }

    /// Returns `true` unless all that is known is where something waits.
    fn says_for_what(&self) -> bool {
        match self {
            Self::Waits(waits) => waits.iter().any(|it| it.first().resource.is_some()),
            _ => true,
        }
    }
}

/// Returns the sureness that the executor of a task does not poll it: the task has been ready for long, while the
/// executor could have polled it. `None` for a task that is not known to be ready.
pub(super) fn sure_of_starved(task: &TaskDump) -> Option<Sure> {
    let unpolled = task.unpolled?;
    Some(
        match unpolled.is_proven && unpolled.for_ >= LONG_FOR_A_POLL {
            true => Sure::Certain,
            // The process may get too little processor time.
            false => Sure::Likely,
        },
    )
}

fn starved<'a>(tasks: &[(Circle, &'a TaskDump)]) -> Option<Cause<'a>> {
    let is_running =
        |(_, task): &(Circle, &TaskDump)| matches!(task.state(), TaskState::Running(_));
    if tasks.iter().any(is_running) {
        return None;
    }
    let inner = tasks.iter().filter(|(circle, _)| circle.is_inner());
    inner.map(|(_, task)| *task).find_map(not_polled)
}

/// Returns the cause if the task has a request, and is not polled.
fn not_polled(task: &TaskDump) -> Option<Cause<'_>> {
    match task.source() {
        _ if task.is_not_polled() => sure_of_starved(task).map(|sure| Cause::Starved(task, sure)),
        Source::Snapshot {
            error: Some(TraceError::NeverPolled),
        } => Some(Cause::NeverPolled(task)),
        _ => None,
    }
}

/// Finds the likeliest wait of the tasks.
fn waits<'a>(hang: &Hang, tasks: &[(Circle, &'a TaskDump)]) -> Option<Cause<'a>> {
    let mut all: Vec<(Circle, Point<'a>)> = Vec::new();
    for (circle, task) in tasks {
        all.extend(task_waits(task).into_iter().map(|point| (*circle, point)));
    }
    leave_out_idle_workers(&mut all);
    if hang.dump.untraced_by_runtime().is_empty() {
        follow_joins(tasks, &mut all);
    }
    count_once(&mut all);
    let inner = all.iter().filter(|(circle, _)| circle.is_inner());
    let of_inner = inner.map(|(_, point)| point.rank).min();
    let best = all
        .iter()
        .map(|(circle, point)| weight(*circle, point))
        .min()?;
    let is_told = |(circle, point): &&(Circle, Point<'_>)| match of_inner {
        // It says more than what others wait for, but for a lock.
        Some(rank)
            if (rank.is_telling() || rank == Rank::NoWaker)
                && best.0 != Rank::Lock
                && hang.stage != Stage::End =>
        {
            point.rank == rank && rank != Rank::NoWaker
                || circle.is_inner() && is_as_likely(rank, point.rank)
        }
        _ => weight(*circle, point).0 == best.0,
    };
    let mut told: Vec<(Circle, Point<'a>)> = all.iter().filter(is_told).copied().collect();
    told.sort_by_key(|(circle, point)| (point.rank, *circle));
    let told: Vec<Point<'a>> = told.into_iter().map(|(_, point)| point).collect();
    if told.first()?.rank == Rank::NoWaker {
        let point = told[0];
        let sure = sure_of_no_waker(point.task);
        return Some(Cause::NoWaker(point, sure));
    }
    Some(Cause::Waits(together(told)))
}

/// By what waits are compared where the body tells nothing: a helper without a waker may be parked on
/// purpose.
fn weight(circle: Circle, point: &Point<'_>) -> (Rank, bool) {
    match point.rank {
        Rank::NoWaker if !circle.is_inner() => (Rank::Stop, true),
        rank => (rank, false),
    }
}

/// A message may come from outside as well as from within.
fn is_as_likely(rank: Rank, other: Rank) -> bool {
    let tell = |rank| match rank {
        Rank::Event => Rank::Io,
        rank => rank,
    };
    tell(rank) == tell(other)
}

/// Returns how certain it is that nothing can wake a task that has registered no waker: it may have kept the one of an
/// earlier poll.
pub(crate) fn sure_of_no_waker(task: &TaskDump) -> Sure {
    match task.polls() {
        0 => Sure::Certain,
        _ => Sure::Likely,
    }
}

/// A task that another polls within itself, as `LocalSet` does, has its waits in the trees of both.
fn count_once(all: &mut Vec<(Circle, Point<'_>)>) {
    let told = |task: TaskId, point: &Point<'_>| {
        let resource = point.resource().map(str::to_owned);
        let function = point.function.map(|it| it.name().to_owned());
        (task, function, resource)
    };
    let within: HashSet<_> = all
        .iter()
        .flat_map(|(_, point)| {
            let awaited = point.task.awaits().iter();
            awaited.map(move |awaited| told(*awaited, point))
        })
        .collect();
    all.retain(|(_, point)| !within.contains(&told(point.task.id(), point)));
}

/// Workers that share a receiver wait for its lock while one of them waits for a message: they are idle.
fn leave_out_idle_workers(all: &mut Vec<(Circle, Point<'_>)>) {
    let receives = |point: &Point<'_>| {
        let name = point.resource();
        name.is_some_and(|name| name.contains("Receiver") || name.ends_with("::recv"))
    };
    let idle = all.iter().filter(|(_, point)| receives(point));
    let idle: HashSet<(String, String)> = idle.filter_map(|(_, point)| work(point)).collect();
    all.retain(|(circle, point)| {
        let is_worker = || work(point).is_some_and(|work| idle.contains(&work));
        circle.is_inner() || point.rank != Rank::Lock || !is_worker()
    });
}

/// Has the waits of the tasks that a task has spawned, and that no other task awaits, stand for its waits for
/// handles of tokio's. Such a handle does not say which task it belongs to, but where all tasks are traced, that
/// is one of these, or it belongs to `spawn_blocking`.
fn follow_joins<'a>(tasks: &[(Circle, &'a TaskDump)], all: &mut Vec<(Circle, Point<'a>)>) {
    let parents: HashMap<TaskId, TaskId> = tasks
        .iter()
        .filter_map(|(_, task)| Some((task.id(), task.parent()?)))
        .collect();
    let by_others: HashSet<TaskId> = tasks
        .iter()
        .flat_map(|(_, task)| task.awaits().iter().map(|awaited| (task.id(), *awaited)))
        .filter(|(by, awaited)| parents.get(awaited) != Some(by))
        .map(|(_, awaited)| awaited)
        .collect();
    let joins = |point: &Point<'_>| {
        let name = point.resource();
        point.rank == Rank::Task && name.is_some_and(|name| name.starts_with("tokio::task::Join"))
    };
    // How near to the body the tasks are that join others.
    let joining: HashMap<TaskId, Circle> = all
        .iter()
        .filter(|(_, point)| joins(point))
        .map(|(circle, point)| (point.task.id(), *circle))
        .collect();
    let mut followed: HashSet<TaskId> = HashSet::new();
    for (circle, point) in all.iter_mut() {
        let task = point.task;
        let Some(parent) = task.parent() else {
            continue;
        };
        let Some(of_parent) = joining.get(&parent) else {
            continue;
        };
        if point.rank < Rank::NoWaker && !by_others.contains(&task.id()) {
            *circle = (*circle).min((*of_parent).max(Circle::Awaited));
            followed.insert(parent);
        }
    }
    all.retain(|(_, point)| !joins(point) || !followed.contains(&point.task.id()));
}

/// The name of the task, and that of the function that waits.
fn work(point: &Point<'_>) -> Option<(String, String)> {
    let function = point.function?;
    Some((point.task.name().to_owned(), function.name().to_owned()))
}

/// Puts together what the same function waits for, with what else it waits for at the same place: one of
/// several futures of a `select!`.
fn together(told: Vec<Point<'_>>) -> Vec<Waiting<'_>> {
    let mut all: Vec<Waiting<'_>> = Vec::new();
    let mut index: HashMap<_, usize> = HashMap::new();
    for point in told {
        match index.entry(point.subject()) {
            Entry::Occupied(at) => all[*at.get()].add(point),
            Entry::Vacant(at) => {
                at.insert(all.len());
                all.push(Waiting {
                    points: vec![point],
                    count: point.count(),
                    tasks: 1,
                    last: point.task.id(),
                });
            }
        }
    }
    let mut tasks: HashSet<TaskId> = HashSet::new();
    // By function. Each task is looked at once, however many of its functions are told.
    let mut beside: HashMap<*const Frame, Vec<Point<'_>>> = HashMap::new();
    for waiting in &mut all {
        let first = *waiting.first();
        let Some(function) = first.function else {
            continue;
        };
        if first.rank != Rank::Lock && first.resource.is_some() {
            if tasks.insert(first.task.id()) {
                for point in task_waits(first.task) {
                    let function = point.function.map(ptr::from_ref);
                    beside
                        .entry(function.unwrap_or(ptr::null()))
                        .or_default()
                        .push(point);
                }
            }
            let beside = beside.remove(&ptr::from_ref(function));
            waiting.add_what_is_beside(beside.unwrap_or_default());
        }
    }
    all
}

impl<'a> Waiting<'a> {
    fn add(&mut self, point: Point<'a>) {
        let is_told = self.says(&point);
        if is_told || self.last != point.task.id() {
            self.count += point.count();
        }
        if self.last != point.task.id() {
            self.tasks += 1;
        }
        self.last = point.task.id();
        if !is_told {
            self.points.push(point);
        }
    }

    /// Adds what its first task waits for at the same place: `beside`.
    fn add_what_is_beside(&mut self, mut beside: Vec<Point<'a>>) {
        let is_told = |point: &Point<'_>| {
            point.resource.is_some() && !point.resource().is_some_and(is_beside_a_wait)
        };
        beside.retain(is_told);
        beside.sort_by_key(|point| point.rank);
        for point in beside {
            if !self.says(&point) {
                self.points.push(point);
            }
        }
    }

    /// Returns `true` if it says of what the point waits for that it does.
    fn says(&self, point: &Point<'_>) -> bool {
        let said = |point: &Point<'_>| (point.resource().map(str::to_owned), point.library());
        let new = said(point);
        self.points.iter().any(|known| said(known) == new)
    }
}
