//! Finds out why a test does not end.
//!
//! The tasks of the test are ordered by their proximity to its body: the body, the tasks that it awaits, the tasks that
//! these have spawned, and all other tasks. The first two are *near* tasks. A wait for a lock is the likeliest cause,
//! whichever task it belongs to. Otherwise the waits of near tasks come before those of other tasks, which may be idle.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ptr;
use std::time::Duration;

use super::rank::is_secondary_wait;
use super::wait_point::{WaitPoint, points};
use super::{LONG_POLL, WaitRank};
use crate::dump::{Hang, HangTrigger, Source, TaskDump, TestStage};
use crate::task::{Running, TaskId, TaskState, TraceError};
use crate::trace::{Frame, Wait};

/// The reason why a test does not end.
pub(crate) enum Cause<'a> {
    /// Threads are in polls that do not end. Certain.
    Blocked(Vec<BlockedThread<'a>>),
    /// A task holds a future that it does not poll, while it waits for something else. Certain.
    /// The second field has the likeliest waits of that task.
    Held(WaitPoint<'a>, Vec<WaitingFunction<'a>>),
    /// Each of the tasks awaits the next, and the last awaits the first. Certain, unless one of them also waits for
    /// something else.
    Cycle(Vec<&'a TaskDump>, Certainty),
    /// The task was woken and has not been polled since.
    Starved(&'a TaskDump, Certainty),
    /// Functions wait. These are the likeliest culprits.
    Waits(Vec<WaitingFunction<'a>>),
    /// A leaf has registered no waker. Certain if its task was not polled before, so that it cannot have kept the waker
    /// of an earlier poll.
    NoWaker(WaitPoint<'a>, Certainty),
    /// The task has never been polled.
    NeverPolled(&'a TaskDump),
    /// Nothing is known.
    Unknown,
}

/// The certainty of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certainty {
    Certain,
    Likely,
}

/// A thread in a poll that does not end.
pub(crate) struct BlockedThread<'a> {
    pub(crate) task: &'a TaskDump,
    pub(crate) running: &'a Running,
    /// The place where the thread is, if it is known.
    pub(crate) point: Option<WaitPoint<'a>>,
}

/// A function that waits.
pub(crate) struct WaitingFunction<'a> {
    /// The different waits of the function, the likeliest first. Never empty.
    pub(crate) points: Vec<WaitPoint<'a>>,
    /// The number of waits. A function that waits for several things at once, as in a `join!`, has several.
    pub(crate) count: usize,
    /// The number of tasks that wait in the function.
    pub(crate) tasks: usize,
    /// The last task that was counted.
    last: TaskId,
}

impl<'a> WaitingFunction<'a> {
    pub(crate) fn first(&self) -> &WaitPoint<'a> {
        &self.points[0]
    }
}

/// The proximity of a task to the body of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Proximity {
    Body,
    Awaited,
    Spawned,
    Other,
}

impl Proximity {
    /// Returns `true` for a near task: the body, or a task that the body waits for.
    fn is_near(self) -> bool {
        self <= Self::Awaited
    }
}

/// Returns the reason why the test does not end.
pub(crate) fn find_cause(hang: &Hang) -> Cause<'_> {
    // A test with a short limit cannot have been blocked for long, so its threshold is lower.
    let long = match hang.trigger {
        HangTrigger::Timeout => LONG_POLL.min(hang.after / 2),
        HangTrigger::Signal(_) => LONG_POLL,
    };
    let tasks = by_proximity(hang);
    blocked(&tasks, long)
        .or_else(|| held(&tasks, long))
        .or_else(|| cycle(hang))
        .or_else(|| starved(&tasks).filter(Cause::is_certain))
        .or_else(|| waits(hang, &tasks).filter(Cause::names_a_resource))
        // A task that is only likely to be starved is a weaker cause than a wait for a resource: the process may just
        // get too little processor time.
        .or_else(|| starved(&tasks))
        .or_else(|| waits(hang, &tasks))
        .or_else(|| blocked(&tasks, Duration::ZERO))
        .or_else(|| tasks.iter().find_map(|(_, task)| not_polled(task)))
        .unwrap_or(Cause::Unknown)
}

/// Returns the tasks of the test with their proximity to the body, the nearest first.
fn by_proximity(hang: &Hang) -> Vec<(Proximity, &TaskDump)> {
    let tasks: Vec<&TaskDump> = hang.dump.tasks().collect();
    let position = |id| tasks.binary_search_by_key(&id, |task| task.id()).ok();
    let mut proximities = vec![Proximity::Other; tasks.len()];
    let mut order: Vec<usize> = Vec::new();
    if let TestStage::Body(root) = hang.stage {
        order.extend(position(root));
    }
    for at in &order {
        proximities[*at] = Proximity::Body;
    }
    let mut next = 0;
    while let Some(at) = order.get(next).copied() {
        next += 1;
        for awaited in tasks[at].awaits().iter().filter_map(|id| position(*id)) {
            if proximities[awaited] == Proximity::Other {
                proximities[awaited] = Proximity::Awaited;
                order.push(awaited);
            }
        }
    }
    // A task has a higher number than its parent, so one pass is enough.
    for at in 0..tasks.len() {
        let parent = tasks[at].parent().and_then(position);
        if proximities[at] == Proximity::Other
            && parent.is_some_and(|parent| proximities[parent] != Proximity::Other)
        {
            proximities[at] = Proximity::Spawned;
            order.push(at);
        }
    }
    order.extend((0..tasks.len()).filter(|at| proximities[*at] == Proximity::Other));
    let order = order.into_iter();
    order.map(|at| (proximities[at], tasks[at])).collect()
}

/// Returns the threads that have been in a poll for at least `limit`, if there are any.
fn blocked<'a>(tasks: &[(Proximity, &'a TaskDump)], limit: Duration) -> Option<Cause<'a>> {
    let mut all: Vec<BlockedThread<'a>> = Vec::new();
    for (_, task) in tasks {
        let TaskState::Running(running) = task.state() else {
            continue;
        };
        // If a task is polled inside another, the stacks of both lead to the same place.
        let is_known = |known: &BlockedThread<'_>| known.running.thread_id() == running.thread_id();
        if running.duration() >= limit && !all.iter().any(is_known) {
            let mut points = points(task).into_iter();
            let point = points.find(|point| point.wait() == Some(Wait::Running));
            all.push(BlockedThread {
                task,
                running,
                point,
            });
        }
    }
    (!all.is_empty()).then_some(Cause::Blocked(all))
}

/// Returns the first future that has been held for at least `limit` without being polled, and the likeliest waits of
/// its task.
///
/// A task that the body does not await counts only if it waits for a lock, because any `select!` may hold futures that
/// it does not poll.
fn held<'a>(tasks: &[(Proximity, &'a TaskDump)], limit: Duration) -> Option<Cause<'a>> {
    tasks.iter().find_map(|(proximity, task)| {
        let is_long = |frame: &Frame| frame.not_polled_for().is_none_or(|time| time >= limit);
        let (held, mut waits): (Vec<_>, Vec<_>) = points(task)
            .into_iter()
            .filter(WaitPoint::is_wait)
            .partition(|point| point.wait() == Some(Wait::NotPolled));
        let held = held.into_iter().find(|point| is_long(point.frame))?;
        waits.sort_by_key(|point| point.rank);
        let best = waits.first()?.rank;
        if !proximity.is_near() && best != WaitRank::Lock {
            return None;
        }
        waits.retain(|point| point.rank == best);
        Some(Cause::Held(held, group_by_function(waits)))
    })
}

/// Returns the waits of a task.
///
/// A function that has used up its coop budget is ready, so its other registrations in that poll are left out.
fn task_waits(task: &TaskDump) -> Vec<WaitPoint<'_>> {
    let is_wait = |point: &WaitPoint<'_>| {
        point.is_wait() && point.wait() != Some(Wait::NotPolled) && !point.is_part_of_call
    };
    let mut points: Vec<WaitPoint<'_>> = points(task).into_iter().filter(is_wait).collect();
    let function = |point: &WaitPoint<'_>| point.function.map(ptr::from_ref);
    let out_of_budget = points.iter().filter(|point| point.is_out_of_budget());
    let ready: HashSet<_> = out_of_budget.filter_map(function).collect();
    points.retain(|point| {
        point.is_out_of_budget() || !function(point).is_some_and(|it| ready.contains(&it))
    });
    points
}

/// Returns the first cycle of tasks that await each other.
fn cycle(hang: &Hang) -> Option<Cause<'_>> {
    let forest = hang.dump.by_awaiter();
    let cycle = forest.cycle_positions().first()?;
    let tasks: Vec<&TaskDump> = cycle.iter().map(|at| forest.task(*at)).collect();
    let certainty = certainty_of_cycle(tasks.iter().copied());
    Some(Cause::Cycle(tasks, certainty))
}

/// Returns the certainty that tasks that await each other make no progress. A task that also waits for something else
/// may continue after that.
pub(crate) fn certainty_of_cycle<'a>(mut tasks: impl Iterator<Item = &'a TaskDump>) -> Certainty {
    let waits_for_one = |task: &TaskDump| {
        let leaves: usize = task.trace().leaves().iter().map(|leaf| leaf.count()).sum();
        leaves <= 1 && task.awaits().len() == 1
    };
    match tasks.all(waits_for_one) {
        true => Certainty::Certain,
        false => Certainty::Likely,
    }
}

impl Cause<'_> {
    /// Returns `false` for a task that is only likely to be starved.
    fn is_certain(&self) -> bool {
        !matches!(self, Self::Starved(_, Certainty::Likely))
    }

    /// Returns `false` if the cause is a wait for which no resource is known.
    fn names_a_resource(&self) -> bool {
        match self {
            Self::Waits(waits) => waits.iter().any(|it| it.first().resource.is_some()),
            _ => true,
        }
    }
}

/// Returns the certainty that the executor of a task does not poll it. It is certain if the task has been ready for a
/// long time while the executor could have polled it. Returns `None` if the task is not known to be ready.
pub(super) fn certainty_of_starved(task: &TaskDump) -> Option<Certainty> {
    let unpolled = task.unpolled?;
    Some(match unpolled.is_proven && unpolled.for_ >= LONG_POLL {
        true => Certainty::Certain,
        // The process may get too little processor time.
        false => Certainty::Likely,
    })
}

/// Returns the first near task that its executor does not poll, unless a task is being polled, which may delay others.
fn starved<'a>(tasks: &[(Proximity, &'a TaskDump)]) -> Option<Cause<'a>> {
    let is_running =
        |(_, task): &(Proximity, &TaskDump)| matches!(task.state(), TaskState::Running(_));
    if tasks.iter().any(is_running) {
        return None;
    }
    let near = tasks.iter().filter(|(proximity, _)| proximity.is_near());
    near.map(|(_, task)| *task).find_map(not_polled)
}

/// Returns the cause if the task was asked for a trace but was not polled for it.
fn not_polled(task: &TaskDump) -> Option<Cause<'_>> {
    match task.source() {
        _ if task.is_not_polled() => {
            certainty_of_starved(task).map(|certainty| Cause::Starved(task, certainty))
        }
        Source::Snapshot {
            error: Some(TraceError::NeverPolled),
        } => Some(Cause::NeverPolled(task)),
        _ => None,
    }
}

/// Returns the likeliest waits of the tasks.
fn waits<'a>(hang: &Hang, tasks: &[(Proximity, &'a TaskDump)]) -> Option<Cause<'a>> {
    let mut all: Vec<(Proximity, WaitPoint<'a>)> = Vec::new();
    for (proximity, task) in tasks {
        all.extend(
            task_waits(task)
                .into_iter()
                .map(|point| (*proximity, point)),
        );
    }
    remove_idle_workers(&mut all);
    if hang.dump.untraced_by_runtime().is_empty() {
        follow_joins(tasks, &mut all);
    }
    remove_duplicate_waits(&mut all);
    let near = all.iter().filter(|(proximity, _)| proximity.is_near());
    let best_near = near.map(|(_, point)| point.rank).min();
    let best = all
        .iter()
        .map(|(proximity, point)| sort_key(*proximity, point))
        .min()?;
    let is_selected = |(proximity, point): &&(Proximity, WaitPoint<'_>)| match best_near {
        // An external wait of a near task explains the hang better than the waits of other tasks, except for a lock.
        Some(rank)
            if (rank.is_external() || rank == WaitRank::NoWaker)
                && best.0 != WaitRank::Lock
                && hang.stage != TestStage::End =>
        {
            point.rank == rank && rank != WaitRank::NoWaker
                || proximity.is_near() && is_as_likely(rank, point.rank)
        }
        _ => sort_key(*proximity, point).0 == best.0,
    };
    let mut selected: Vec<(Proximity, WaitPoint<'a>)> =
        all.iter().filter(is_selected).copied().collect();
    selected.sort_by_key(|(proximity, point)| (point.rank, *proximity));
    let selected: Vec<WaitPoint<'a>> = selected.into_iter().map(|(_, point)| point).collect();
    if selected.first()?.rank == WaitRank::NoWaker {
        let point = selected[0];
        let certainty = certainty_of_no_waker(point.task);
        return Some(Cause::NoWaker(point, certainty));
    }
    Some(Cause::Waits(group_by_function(selected)))
}

/// Returns the key that orders waits where the near tasks have no external wait. Any other task without a waker comes
/// last, because it may be parked on purpose.
fn sort_key(proximity: Proximity, point: &WaitPoint<'_>) -> (WaitRank, bool) {
    match point.rank {
        WaitRank::NoWaker if !proximity.is_near() => (WaitRank::Stop, true),
        rank => (rank, false),
    }
}

/// Returns `true` if both ranks are equally likely. A message may come from outside the process as well as from
/// inside, so events are as likely as I/O.
fn is_as_likely(rank: WaitRank, other: WaitRank) -> bool {
    let class = |rank| match rank {
        WaitRank::Event => WaitRank::Io,
        rank => rank,
    };
    class(rank) == class(other)
}

/// Returns the certainty that nothing can wake a task that has registered no waker. It may have kept the waker of an
/// earlier poll, if there was one.
pub(crate) fn certainty_of_no_waker(task: &TaskDump) -> Certainty {
    match task.polls() {
        0 => Certainty::Certain,
        _ => Certainty::Likely,
    }
}

/// Removes the waits of tasks that are in the tree of another task as well: a task that is polled inside another, as in
/// a `LocalSet`, has its waits in both trees.
fn remove_duplicate_waits(all: &mut Vec<(Proximity, WaitPoint<'_>)>) {
    let identity = |task: TaskId, point: &WaitPoint<'_>| {
        let resource = point.resource().map(str::to_owned);
        let function = point.function.map(|it| it.name().to_owned());
        (task, function, resource)
    };
    let within: HashSet<_> = all
        .iter()
        .flat_map(|(_, point)| {
            let awaited = point.task.awaits().iter();
            awaited.map(move |awaited| identity(*awaited, point))
        })
        .collect();
    all.retain(|(_, point)| !within.contains(&identity(point.task.id(), point)));
}

/// Removes the waits of idle workers for a lock. Workers that share a receiver wait for its lock while one of them
/// holds it and waits for a message.
fn remove_idle_workers(all: &mut Vec<(Proximity, WaitPoint<'_>)>) {
    let receives = |point: &WaitPoint<'_>| {
        let name = point.resource();
        name.is_some_and(|name| name.contains("Receiver") || name.ends_with("::recv"))
    };
    let idle = all.iter().filter(|(_, point)| receives(point));
    let idle: HashSet<(String, String)> =
        idle.filter_map(|(_, point)| work_identity(point)).collect();
    all.retain(|(proximity, point)| {
        let is_worker = || work_identity(point).is_some_and(|work| idle.contains(&work));
        proximity.is_near() || point.rank != WaitRank::Lock || !is_worker()
    });
}

/// Replaces waits for tokio's join handles with the waits of the tasks that the waiting task has spawned and that no
/// other task awaits.
///
/// A join handle of tokio does not show which task it belongs to. But if all tasks are traced, it belongs to one of
/// these tasks, or to `spawn_blocking`.
fn follow_joins<'a>(
    tasks: &[(Proximity, &'a TaskDump)],
    all: &mut Vec<(Proximity, WaitPoint<'a>)>,
) {
    let parents: HashMap<TaskId, TaskId> = tasks
        .iter()
        .filter_map(|(_, task)| Some((task.id(), task.parent()?)))
        .collect();
    let awaited_by_others: HashSet<TaskId> = tasks
        .iter()
        .flat_map(|(_, task)| task.awaits().iter().map(|awaited| (task.id(), *awaited)))
        .filter(|(by, awaited)| parents.get(awaited) != Some(by))
        .map(|(_, awaited)| awaited)
        .collect();
    let joins = |point: &WaitPoint<'_>| {
        let name = point.resource();
        point.rank == WaitRank::Task
            && name.is_some_and(|name| name.starts_with("tokio::task::Join"))
    };
    // The proximity of the tasks that wait for join handles.
    let joining: HashMap<TaskId, Proximity> = all
        .iter()
        .filter(|(_, point)| joins(point))
        .map(|(proximity, point)| (point.task.id(), *proximity))
        .collect();
    let mut followed: HashSet<TaskId> = HashSet::new();
    for (proximity, point) in all.iter_mut() {
        let task = point.task;
        let Some(parent) = task.parent() else {
            continue;
        };
        let Some(parent_proximity) = joining.get(&parent) else {
            continue;
        };
        if point.rank < WaitRank::NoWaker && !awaited_by_others.contains(&task.id()) {
            *proximity = (*proximity).min((*parent_proximity).max(Proximity::Awaited));
            followed.insert(parent);
        }
    }
    all.retain(|(_, point)| !joins(point) || !followed.contains(&point.task.id()));
}

/// Returns the name of the task and the name of the waiting function, which identify the work of a worker.
fn work_identity(point: &WaitPoint<'_>) -> Option<(String, String)> {
    let function = point.function?;
    Some((point.task.name().to_owned(), function.name().to_owned()))
}

/// Groups the selected waits by function. Adds the other waits of a function at the same place, because a selected wait
/// may be one of several futures of a `select!`.
fn group_by_function(selected: Vec<WaitPoint<'_>>) -> Vec<WaitingFunction<'_>> {
    let mut all: Vec<WaitingFunction<'_>> = Vec::new();
    let mut index: HashMap<_, usize> = HashMap::new();
    for point in selected {
        match index.entry(point.subject()) {
            Entry::Occupied(at) => all[*at.get()].add(point),
            Entry::Vacant(at) => {
                at.insert(all.len());
                all.push(WaitingFunction {
                    points: vec![point],
                    count: point.count(),
                    tasks: 1,
                    last: point.task.id(),
                });
            }
        }
    }
    let mut tasks: HashSet<TaskId> = HashSet::new();
    // The waits of each function. They are collected once per task, however many of its functions are selected.
    let mut simultaneous: HashMap<*const Frame, Vec<WaitPoint<'_>>> = HashMap::new();
    for waiting in &mut all {
        let first = *waiting.first();
        let Some(function) = first.function else {
            continue;
        };
        if first.rank != WaitRank::Lock && first.resource.is_some() {
            if tasks.insert(first.task.id()) {
                for point in task_waits(first.task) {
                    let function = point.function.map(ptr::from_ref);
                    simultaneous
                        .entry(function.unwrap_or(ptr::null()))
                        .or_default()
                        .push(point);
                }
            }
            let simultaneous = simultaneous.remove(&ptr::from_ref(function));
            waiting.add_simultaneous_waits(simultaneous.unwrap_or_default());
        }
    }
    all
}

impl<'a> WaitingFunction<'a> {
    /// Adds a selected wait of the function.
    fn add(&mut self, point: WaitPoint<'a>) {
        let is_known = self.has_same_wait(&point);
        if is_known || self.last != point.task.id() {
            self.count += point.count();
        }
        if self.last != point.task.id() {
            self.tasks += 1;
        }
        self.last = point.task.id();
        if !is_known {
            self.points.push(point);
        }
    }

    /// Adds the waits of the first task at the same place. Time limits and the like are left out.
    fn add_simultaneous_waits(&mut self, mut simultaneous: Vec<WaitPoint<'a>>) {
        let is_shown = |point: &WaitPoint<'_>| {
            point.resource.is_some() && !point.resource().is_some_and(is_secondary_wait)
        };
        simultaneous.retain(is_shown);
        simultaneous.sort_by_key(|point| point.rank);
        for point in simultaneous {
            if !self.has_same_wait(&point) {
                self.points.push(point);
            }
        }
    }

    /// Returns `true` if a wait for the same resource in the same library function has been added.
    fn has_same_wait(&self, point: &WaitPoint<'a>) -> bool {
        let identity = |point: &WaitPoint<'a>| (point.awaited(), point.library());
        let new = identity(point);
        self.points.iter().any(|known| identity(known) == new)
    }
}
