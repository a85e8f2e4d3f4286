//! Determines the tasks of a test.
//!
//! Tests run in parallel in one process, and the report of a test shows only its own tasks. A task belongs to a test if
//! one of these conditions holds:
//!
//! 1. It is in the same runtime, if runtimes can be distinguished (feature `tokio`).
//! 2. It was made in a poll of a task of the test, or a task of the test awaits it, on any runtime.
//! 3. Its runtime is unknown, and it was last polled by the thread of the test, or by a thread that has polled another
//!    task of the test. The worker threads of a runtime poll only tasks of that runtime.
//!
//! The other tasks may belong to any test. If only one test is running, they are its tasks.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::running::{self, Test};
use crate::dump::{self, Dump, EndedTask, Hang, HangTrigger, TaskDump, TestStage};
use crate::inspect::{self, Inspection};
use crate::os;
use crate::os::time::Instant;
use crate::runtime::RuntimeId;
use crate::task::{TaskId, TaskState, TraceHandle, tasks};

/// The time that the test function has to return if asking the tasks made its body continue.
const TIME_TO_RETURN: Duration = Duration::from_secs(1);

/// Returns a report about a test and its tasks. `budget` limits the time that the tasks have to answer.
pub(super) fn capture_hang(test: &Arc<Test>, trigger: HangTrigger, budget: Duration) -> Hang {
    let after = match trigger {
        // The delay between the limit and this call is of no interest.
        HangTrigger::Timeout => test.limit.unwrap_or_else(|| test.begun.elapsed()),
        HangTrigger::Signal(_) => test.begun.elapsed(),
    };
    // Debug info is read while the tasks answer.
    inspect::prepare();
    let (own, unknown) = own_tasks(test);
    let body = test.state().body.clone();
    let mut dump = dump::dump_of(own.clone(), budget);
    let is_running = |task: &TaskDump| matches!(task.state(), TaskState::Running(_));
    // A running task explains why the others are not polled.
    if !dump.tasks().any(is_running) {
        dump::retry_unpolled(&mut dump, &own, budget);
    }
    retain_own_ended_tasks(&mut dump, test);
    let time_to_read = match trigger {
        HangTrigger::Timeout => inspect::TIME_TO_READ,
        // The sender of the signal may kill the process soon.
        HangTrigger::Signal(_) => budget,
    };
    let dump = dump.with_inspection(inspection(test, &own, os::deadline(time_to_read)));
    Hang {
        name: test.name().to_owned(),
        file: test.origin.file(),
        line: test.origin.line(),
        after,
        trigger,
        stage: stage(test, body),
        thread: test.thread_id,
        dump,
        unknown,
    }
}

/// Reads the tasks of a test from memory. `own` are its traced tasks.
fn inspection(test: &Arc<Test>, own: &[TraceHandle], deadline: Instant) -> Option<Inspection> {
    let is_alone = running::all().iter().all(|other| Arc::ptr_eq(other, test));
    // All traced tasks are passed, so that those of other tests are known as such.
    let all: Vec<TraceHandle> = tasks().collect();
    let mut inspection = inspect::read(&all, deadline)?;
    if !is_alone {
        let own: Vec<TaskId> = own.iter().map(TraceHandle::id).collect();
        inspection.retain_runtime(test.state().runtime, &own);
    }
    Some(inspection)
}

/// Removes the ended tasks that are not known to be tasks of the test.
fn retain_own_ended_tasks(dump: &mut Dump, test: &Test) {
    let runtime = test.state().runtime;
    let mut own: BTreeSet<TaskId> = dump.tasks().map(TaskDump::id).collect();
    // Ended tasks are listed in the order in which they ended. A task may have been spawned by a task that ended later,
    // so the search is repeated until it finds no more tasks.
    loop {
        let is_new = |task: &&EndedTask| {
            let is_in = task
                .runtime_task()
                .zip(runtime)
                .map(|(task, runtime)| task.is_in(runtime));
            let by_own = task.parent().is_some_and(|parent| own.contains(&parent));
            !own.contains(&task.id()) && is_in.unwrap_or(by_own)
        };
        let new: Vec<TaskId> = dump
            .ended()
            .iter()
            .filter(is_new)
            .map(EndedTask::id)
            .collect();
        if new.is_empty() {
            break;
        }
        own.extend(new);
    }
    dump.retain_ended(|task| own.contains(&task.id()));
}

/// Returns the stage of a test after its tasks were asked. `body` is the task of the body before that.
fn stage(test: &Test, body: Option<TraceHandle>) -> TestStage {
    let has_finished = body.as_ref().is_some_and(TraceHandle::is_finished);
    if has_finished {
        // The thread has to leave the runtime before the function returns.
        test.wait_until_late(TIME_TO_RETURN);
    }
    let state = test.state();
    match body {
        _ if state.is_late => TestStage::Late,
        Some(body) if !has_finished => TestStage::Body(body.id()),
        None if !state.body_has_ended => TestStage::Beginning,
        _ => TestStage::End,
    }
}

/// Returns the tasks of a test in the order of their ids, and the number of other tasks that may belong to it.
fn own_tasks(test: &Arc<Test>) -> (Vec<TraceHandle>, usize) {
    let others: Vec<Arc<Test>> = running::all()
        .into_iter()
        .filter(|other| !Arc::ptr_eq(other, test))
        .collect();
    let all: Vec<TraceHandle> = tasks().collect();
    let own = known_tasks(test, &all);
    let of_others: BTreeSet<u64> = others
        .iter()
        .flat_map(|other| known_tasks(other, &all))
        .collect();
    let is_left = |task: &&TraceHandle| {
        let id = task.id().get();
        !own.contains(&id) && !of_others.contains(&id) && task.age() <= test.begun.elapsed()
    };
    let left: BTreeSet<u64> = all
        .iter()
        .filter(is_left)
        .filter(|task| may_be_own(task, test))
        .map(|task| task.id().get())
        .collect();
    let is_alone = others.is_empty();
    let is_own = |task: &TraceHandle| {
        let id = task.id().get();
        own.contains(&id) || is_alone && left.contains(&id)
    };
    let unknown = if is_alone { 0 } else { left.len() };
    (all.into_iter().filter(is_own).collect(), unknown)
}

/// Returns `true` if the runtime of the task is unknown or that of the test.
fn may_be_own(task: &TraceHandle, test: &Test) -> bool {
    is_in(task, test.state().runtime).unwrap_or(true)
}

/// Returns `Some(true)` if the task is in this runtime, and `None` if its runtime is unknown.
fn is_in(task: &TraceHandle, runtime: Option<RuntimeId>) -> Option<bool> {
    let known = task.runtime_task().zip(runtime);
    known.map(|(task, runtime)| task.is_in(runtime))
}

/// Returns the ids of the tasks that are known to be tasks of the test.
fn known_tasks(test: &Test, all: &[TraceHandle]) -> BTreeSet<u64> {
    let (body, runtime) = {
        let state = test.state();
        (state.body.clone(), state.runtime)
    };
    let mut search = TaskSearch::new(test, all, runtime);
    if let Some(body) = body {
        search.own.insert(body.id().get());
        search.follow(&body);
    }
    for task in all {
        if is_in(task, runtime) == Some(true) {
            search.add(task);
        }
    }
    search.add_thread(test.thread_index);
    search.finish()
}

/// Collects the tasks of a test: the tasks found so far, and the tasks that they lead to.
struct TaskSearch<'a> {
    test: &'a Test,
    runtime: Option<RuntimeId>,
    own: BTreeSet<u64>,
    /// The tasks that were found but not followed yet.
    pending: Vec<&'a TraceHandle>,
    by_number: HashMap<u64, &'a TraceHandle>,
    /// The tasks by the task that made them. An entry is removed when its parent is followed.
    by_parent: HashMap<u64, Vec<&'a TraceHandle>>,
    /// The tasks whose runtime is unknown, by the thread that last polled them. An entry is removed when the thread is
    /// known to poll tasks of the test.
    by_thread: HashMap<u32, Vec<&'a TraceHandle>>,
}

impl<'a> TaskSearch<'a> {
    fn new(test: &'a Test, all: &'a [TraceHandle], runtime: Option<RuntimeId>) -> Self {
        let mut search = Self {
            test,
            runtime,
            own: BTreeSet::new(),
            pending: Vec::new(),
            by_number: all.iter().map(|task| (task.id().get(), task)).collect(),
            by_parent: HashMap::new(),
            by_thread: HashMap::new(),
        };
        for task in all {
            if let Some(parent) = task.parent() {
                search.by_parent.entry(parent.get()).or_default().push(task);
            }
            let thread = task.last_thread();
            if thread != 0 && is_in(task, runtime).is_none() {
                search.by_thread.entry(thread).or_default().push(task);
            }
        }
        search
    }

    fn add(&mut self, task: &'a TraceHandle) {
        if self.own.insert(task.id().get()) {
            self.pending.push(task);
        }
    }

    /// Adds the tasks that were last polled by a thread that polls only tasks of the test.
    fn add_thread(&mut self, thread: u32) {
        for task in self.by_thread.remove(&thread).unwrap_or_default() {
            // A task that is older than the test belongs to another test.
            if task.age() <= self.test.begun.elapsed() {
                self.add(task);
            }
        }
    }

    /// Adds the tasks that a task of the test awaits or has made.
    fn follow(&mut self, task: &TraceHandle) {
        for awaited in task.snapshot().awaits() {
            if let Some(awaited) = self.by_number.get(&awaited).copied() {
                self.add(awaited);
            }
        }
        for made in self.by_parent.remove(&task.id().get()).unwrap_or_default() {
            self.add(made);
        }
    }

    fn finish(mut self) -> BTreeSet<u64> {
        while let Some(task) = self.pending.pop() {
            self.follow(task);
            // A thread of another runtime may poll tasks of other tests.
            if is_in(task, self.runtime) != Some(false) {
                self.add_thread(task.last_thread());
            }
        }
        self.own
    }
}
