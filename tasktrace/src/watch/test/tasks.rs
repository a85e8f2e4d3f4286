//! Which tasks are those of a test.
//!
//! Tests run in parallel in one process, and each is to tell of its own tasks only. A task belongs to
//! a test
//!
//! 1. if it is in the same runtime, where runtimes can be told apart (feature `tokio`);
//! 2. if it was made in a poll of a task that does, or is awaited by one, on whichever runtime it is;
//! 3. where nothing is known of its runtime, if it was polled last by the thread that the test was called
//!    on, or by one that has polled a task of the test: the workers of a runtime poll no others.
//!
//! What is left may be of any of the tests. If there is only one, it is.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::running::{self, Test};
use crate::dump::{self, Dump, EndedTask, Hang, Stage, TaskDump, Why};
use crate::host::Runtime;
use crate::task::{TaskId, TaskState, TraceHandle, tasks};

/// How long the function of a test may take to return when its body went on because it was looked at.
const TO_RETURN: Duration = Duration::from_secs(1);

/// What is known of a test and its tasks, within a time.
pub(super) fn look_at(test: &Arc<Test>, why: Why, budget: Duration) -> Hang {
    let after = match why {
        // What the scheduler has added is of no interest.
        Why::Timeout => test.limit.unwrap_or_else(|| test.begun.elapsed()),
        Why::Signal(_) => test.begun.elapsed(),
    };
    let (own, unknown) = of(test);
    let body = test.state().body.clone();
    let mut dump = dump::dump_of(own.clone(), budget);
    let is_running = |task: &TaskDump| matches!(task.state(), TaskState::Running(_));
    // A running task explains why the others are not polled.
    if !dump.tasks().any(is_running) {
        dump::ask_again(&mut dump, &own, budget);
    }
    leave_out_ended(&mut dump, test);
    Hang {
        name: test.name().to_owned(),
        file: test.origin.file(),
        line: test.origin.line(),
        after,
        why,
        stage: stage(test, body),
        thread: test.thread_id,
        dump,
        unknown,
    }
}

/// Leaves out the ended tasks that are not known to be those of the test.
fn leave_out_ended(dump: &mut Dump, test: &Test) {
    let runtime = test.state().runtime;
    let mut own: BTreeSet<TaskId> = dump.tasks().map(TaskDump::id).collect();
    // The first to end is the last: a task may have been spawned by one that ended after it.
    loop {
        let is_new = |task: &&EndedTask| {
            let is_in = task
                .job()
                .zip(runtime)
                .map(|(job, runtime)| job.is_in(runtime));
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

/// How far a test has come, once its tasks have been looked at: `body` is the one that it had before.
fn stage(test: &Test, body: Option<TraceHandle>) -> Stage {
    let has_gone_on = body.as_ref().is_some_and(TraceHandle::is_finished);
    if has_gone_on {
        // Its thread has still to leave the runtime before the function returns.
        test.wait_until_late(TO_RETURN);
    }
    let state = test.state();
    match body {
        _ if state.is_late => Stage::Late,
        Some(body) if !has_gone_on => Stage::Body(body.id()),
        None if !state.body_has_ended => Stage::Beginning,
        _ => Stage::End,
    }
}

/// The tasks of a test in the order of their numbers, and how many there are that may be its own.
fn of(test: &Arc<Test>) -> (Vec<TraceHandle>, usize) {
    let others: Vec<Arc<Test>> = running::all()
        .into_iter()
        .filter(|other| !Arc::ptr_eq(other, test))
        .collect();
    let all: Vec<TraceHandle> = tasks().collect();
    let mine = closure(test, &all);
    let theirs: BTreeSet<u64> = others
        .iter()
        .flat_map(|other| closure(other, &all))
        .collect();
    let is_left = |task: &&TraceHandle| {
        let id = task.id().get();
        !mine.contains(&id) && !theirs.contains(&id) && task.age() <= test.begun.elapsed()
    };
    let left: BTreeSet<u64> = all
        .iter()
        .filter(is_left)
        .filter(|task| is_possible(task, test))
        .map(|task| task.id().get())
        .collect();
    let is_alone = others.is_empty();
    let is_own = |task: &TraceHandle| {
        let id = task.id().get();
        mine.contains(&id) || is_alone && left.contains(&id)
    };
    let unknown = if is_alone { 0 } else { left.len() };
    (all.into_iter().filter(is_own).collect(), unknown)
}

/// Whether nothing speaks against it.
fn is_possible(task: &TraceHandle, test: &Test) -> bool {
    is_in(task, test.state().runtime).unwrap_or(true)
}

/// Whether it is in this runtime, if that can be told.
fn is_in(task: &TraceHandle, runtime: Option<Runtime>) -> Option<bool> {
    let known = task.job().zip(runtime);
    known.map(|(job, runtime)| job.is_in(runtime))
}

/// The numbers of the tasks that are known to be those of a test.
fn closure(test: &Test, all: &[TraceHandle]) -> BTreeSet<u64> {
    let (body, runtime) = {
        let state = test.state();
        (state.body.clone(), state.runtime)
    };
    let mut found = Found::new(test, all, runtime);
    if let Some(body) = body {
        found.own.insert(body.id().get());
        found.follow(&body);
    }
    for task in all {
        if is_in(task, runtime) == Some(true) {
            found.add(task);
        }
    }
    found.add_thread(test.token);
    found.finish()
}

/// The tasks of a test that have been found, and what leads to more of them.
struct Found<'a> {
    test: &'a Test,
    runtime: Option<Runtime>,
    own: BTreeSet<u64>,
    /// Those that have been found, and have not been followed yet.
    pending: Vec<&'a TraceHandle>,
    by_number: HashMap<u64, &'a TraceHandle>,
    /// Those that a task has made. They are taken out when that is followed.
    by_parent: HashMap<u64, Vec<&'a TraceHandle>>,
    /// Those of which nothing is known but which thread has polled them last. They are taken out when that is
    /// known to be the test's.
    by_thread: HashMap<u32, Vec<&'a TraceHandle>>,
}

impl<'a> Found<'a> {
    fn new(test: &'a Test, all: &'a [TraceHandle], runtime: Option<Runtime>) -> Self {
        let mut found = Self {
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
                found.by_parent.entry(parent.get()).or_default().push(task);
            }
            let thread = task.last_thread();
            if thread != 0 && is_in(task, runtime).is_none() {
                found.by_thread.entry(thread).or_default().push(task);
            }
        }
        found
    }

    fn add(&mut self, task: &'a TraceHandle) {
        if self.own.insert(task.id().get()) {
            self.pending.push(task);
        }
    }

    /// Adds what has been polled last by a thread that polls tasks of the test only.
    fn add_thread(&mut self, thread: u32) {
        for task in self.by_thread.remove(&thread).unwrap_or_default() {
            // What was there before is somebody else's.
            if task.age() <= self.test.begun.elapsed() {
                self.add(task);
            }
        }
    }

    /// Adds what a task of the test awaits and has made.
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
            // The threads of another runtime may poll tasks of others.
            if is_in(task, self.runtime) != Some(false) {
                self.add_thread(task.last_thread());
            }
        }
        self.own
    }
}
