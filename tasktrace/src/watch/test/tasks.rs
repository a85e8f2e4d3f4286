//! Which tasks are those of a test.
//!
//! Tests run in parallel in one process, and each is to tell of its own tasks only. A task belongs to
//! a test
//!
//! 1. if it is in the same runtime, where runtimes can be told apart (feature `tokio`);
//! 2. if it was made in a poll of a task that does;
//! 3. if it was polled last by the thread that the test was called on, or by one that has polled a
//!    task of the test: the workers of a runtime poll no others.
//!
//! What is left may be of any of the tests. If there is only one, it is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::running::{self, Test};
use crate::dump::{self, Hang, Stage, Why};
use crate::host::Runtime;
use crate::task::{TraceHandle, tasks};

/// What is known of a test and its tasks, within a time.
pub(super) fn look_at(test: &Arc<Test>, why: Why, budget: Duration) -> Hang {
    let after = match why {
        // What the scheduler has added is of no interest.
        Why::Timeout => test.limit.unwrap_or_else(|| test.begun.elapsed()),
        Why::Signal(_) => test.begun.elapsed(),
    };
    let (own, unknown) = of(test);
    let (body, has_ended) = {
        let state = test.state();
        (state.body.clone(), state.body_has_ended)
    };
    let stage = match &body {
        Some(body) => Stage::Body(body.id()),
        None if has_ended => Stage::End,
        None => Stage::Beginning,
    };
    Hang {
        name: test.name().to_owned(),
        file: test.origin.file(),
        line: test.origin.line(),
        after,
        why,
        stage,
        thread: test.thread_id,
        dump: dump::dump_of(own, budget),
        unknown,
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
    let mut own: BTreeSet<u64> = body.iter().map(|body| body.id().get()).collect();
    let mut threads: BTreeSet<u32> = BTreeSet::new();
    threads.extend((test.token != 0).then_some(test.token));
    loop {
        let before = own.len();
        // A task that the same thread has made comes after the one that made it, so most are found at once.
        for task in all {
            let id = task.id().get();
            if own.contains(&id) {
                continue;
            }
            let is_own = is_in(task, runtime).unwrap_or_else(|| {
                let parent = task.parent().map(|parent| parent.get());
                let polled_here = threads.contains(&task.last_thread());
                parent.is_some_and(|parent| own.contains(&parent))
                    // What was there before is somebody else's.
                    || polled_here && task.age() <= test.begun.elapsed()
            });
            if is_own {
                own.insert(id);
                threads.extend(Some(task.last_thread()).filter(|thread| *thread != 0));
            }
        }
        if own.len() == before {
            return own;
        }
    }
}
