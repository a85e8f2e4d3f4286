//! The tasks that a task awaits by their handles, shown with it.
//!
//! They are tasks of their own, which their executor polls. So that a trace leads to what is waited
//! for in the end, they are asked at the same time.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::answer::{self, Answer};
use super::clock::Moment;
use super::record::Record;
use super::reference::{self, RecordRef};
use super::waking::{self, Waking};
use super::{live, scope};
use crate::capture::RawTrace;
use crate::origin::Origin;
use crate::os;
use crate::trace::Trace;

/// So many are asked, and shown.
const MOST: usize = 64;

/// How long they are waited for, when the task itself has answered. Of those that do not answer the
/// live frames are shown.
const GRACE: Duration = Duration::from_millis(100);

/// Tasks that have been asked.
pub(super) struct Awaited {
    asked: Vec<Asked>,
    /// `None` if there is no task to wake.
    waking: Option<Waking>,
}

struct Asked {
    task: RecordRef,
    /// Empty if it was not to be asked.
    answer: Option<Answer<RawTrace>>,
}

/// The traces of tasks, by their numbers.
type Traces = Vec<(u64, Trace)>;

impl Awaited {
    /// Asks the tasks that the one of `record` awaits now. Those that it polls itself are a part of
    /// it, and are not asked.
    pub(super) fn ask(record: &Record) -> Self {
        let live = live::frames(record);
        let waits = live
            .iter()
            .filter(|live| matches!(live.identity.origin(), Origin::Wait { .. }));
        let numbers: HashSet<u64> = waits.flat_map(|live| live.identity.awaits()).collect();
        if numbers.is_empty() {
            return Self {
                asked: Vec::new(),
                waking: None,
            };
        }
        let awaited = reference::unfinished().filter(|task| numbers.contains(&task.id().get()));
        let asked = awaited.take(MOST).map(|task| {
            let answer = match scope::is_inside(&task) {
                true => None,
                false => task.ask().ok(),
            };
            Asked { task, answer }
        });
        let asked: Vec<Asked> = asked.collect();
        let woken = asked.iter().filter(|asked| asked.answer.is_some());
        let waking = Waking::start(woken.map(|asked| asked.task.clone()));
        Self {
            asked,
            waking: Some(waking),
        }
    }

    /// Waits a moment for them to be woken.
    pub(super) fn wait_a_moment(&self) {
        if let Some(waking) = &self.waking {
            waking.wait_a_moment();
        }
    }

    /// Their answers, for which the calling thread is blocked for a moment at most.
    pub(super) fn wait(self) -> Traces {
        let deadline = Instant::now() + GRACE;
        self.traces(deadline)
    }

    /// As `wait`, but it is another thread that is blocked, if anything has to be waited for.
    pub(super) async fn wait_elsewhere(self) -> Traces {
        let is_there = |asked: &Asked| asked.answer.as_ref().is_none_or(Answer::is_given);
        if self.asked.iter().all(is_there) {
            return self.traces(Instant::now());
        }
        let (giver, answer) = answer::promise();
        let spawned = os::thread::spawn("tasktrace-awaited", move || {
            let traces = self.wait();
            // It calls the waker of the task that waits.
            os::signal::as_the_program(|| giver.give(Ok(traces)));
        });
        if spawned.is_err() {
            return Vec::new();
        }
        // Cloned at each poll: so it is a leaf of the task that waits.
        let traces = std::future::poll_fn(|cx| answer.poll(cx.waker().clone())).await;
        traces.unwrap_or_default()
    }

    fn traces(self, deadline: Instant) -> Traces {
        let traces = self.asked.iter().map(|asked| {
            let answer = asked.answer.as_ref().and_then(|answer| {
                waking::wait(answer, Some(deadline));
                answer.take()
            });
            let trace = match answer {
                Some(Ok(raw)) => Trace::new(raw),
                _ => Trace::new(live::snapshot(&asked.task, Moment::now())),
            };
            (asked.task.id().get(), trace)
        });
        traces.collect()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(answer) = &self.answer {
            self.task.withdraw(answer);
        }
    }
}
