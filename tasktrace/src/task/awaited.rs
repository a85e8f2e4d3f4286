//! The tasks that a task awaits by their handles, shown with it.
//!
//! They are tasks of their own, which their executor polls. So that a trace leads to what is waited
//! for in the end, they are asked at the same time.

use std::time::{Duration, Instant};

use super::answer::{self, Answer};
use super::handle::{TraceHandle, tasks};
use super::record::Record;
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
pub(super) struct Awaited(Vec<Asked>);

struct Asked {
    handle: TraceHandle,
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
        let numbers: Vec<u64> = waits.flat_map(|live| live.identity.awaits()).collect();
        if numbers.is_empty() {
            return Self(Vec::new());
        }
        let awaited = tasks().filter(|task| numbers.contains(&task.id().get()));
        let asked = awaited.take(MOST).map(|handle| {
            let answer = match scope::is_inside(handle.record()) {
                true => None,
                false => handle.record().exchange().ask().ok(),
            };
            Asked { handle, answer }
        });
        Self(asked.collect())
    }

    /// Their answers, for which the calling thread is blocked for a moment at most.
    pub(super) fn wait(self) -> Traces {
        let deadline = Instant::now() + GRACE;
        self.traces(deadline)
    }

    /// As `wait`, but it is another thread that is blocked, if anything has to be waited for.
    pub(super) async fn wait_elsewhere(self) -> Traces {
        let is_there = |asked: &Asked| asked.answer.as_ref().is_none_or(Answer::is_given);
        if self.0.iter().all(is_there) {
            return self.traces(Instant::now());
        }
        let (giver, answer) = answer::promise();
        let spawned = os::thread::spawn("tasktrace-awaited", move || giver.give(Ok(self.wait())));
        if spawned.is_err() {
            return Vec::new();
        }
        // Cloned at each poll: so it is a leaf of the task that waits.
        let traces = std::future::poll_fn(|cx| answer.poll(cx.waker().clone())).await;
        traces.unwrap_or_default()
    }

    fn traces(self, deadline: Instant) -> Traces {
        let traces = self.0.iter().map(|asked| {
            let answer = asked.answer.as_ref().and_then(|answer| {
                answer.wait(Some(deadline));
                answer.take()
            });
            let trace = match answer {
                Some(Ok(raw)) => Trace::new(raw),
                _ => asked.handle.snapshot(),
            };
            (asked.handle.id().get(), trace)
        });
        traces.collect()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(answer) = &self.answer {
            self.handle.record().exchange().withdraw(answer);
        }
    }
}
