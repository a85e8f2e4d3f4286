//! Captures the tasks that a task awaits by their handles, to show them with it.
//!
//! Their executor polls them, so a trace of the awaiting task does not contain them. They are captured at the same
//! time, so that its trace leads to what is waited for in the end.

use std::collections::HashSet;
use std::time::Duration;

use super::clock::ExactInstant;
use super::header::Header;
use super::oneshot::{self, Receiver};
use super::task_ref::{self, TaskRef};
use super::wake_pool::{self, PendingWakes};
use super::{scope, snapshot};
use crate::capture::RawTrace;
use crate::origin::Origin;
use crate::os;
use crate::os::time::Instant;
use crate::trace::Trace;

/// The largest number of awaited tasks that are captured and shown.
const MAX_AWAITED: usize = 64;

/// The time to wait for the awaited tasks, once the task itself has answered. A task that has not answered by then is
/// shown by its live frames.
const GRACE: Duration = Duration::from_millis(100);

/// Requests to the tasks that a task awaits.
pub(super) struct AwaitedTasks {
    tasks: Vec<AwaitedTask>,
    /// `None` if there is no task to wake.
    wakes: Option<PendingWakes>,
}

/// A request to one awaited task. Dropping it withdraws the request.
struct AwaitedTask {
    task: TaskRef,
    /// `None` if the task finished, or may not be waited for because it is being polled on this thread.
    receiver: Option<Receiver<RawTrace>>,
}

/// The traces of tasks, by task number.
type Traces = Vec<(u64, Trace)>;

impl AwaitedTasks {
    /// Requests captures of the tasks that the task of `header` awaits now, and starts to wake them. A task that it
    /// polls itself is a part of its own trace.
    pub(super) fn request(header: &Header) -> Self {
        let numbers: HashSet<u64> = snapshot::with_live_frames(header, |live| {
            let waits = live
                .iter()
                .filter(|live| matches!(live.identity.origin(), Origin::Wait { .. }));
            waits.flat_map(|live| live.identity.awaits()).collect()
        });
        if numbers.is_empty() {
            return Self {
                tasks: Vec::new(),
                wakes: None,
            };
        }
        let awaited = task_ref::unfinished().filter(|task| numbers.contains(&task.id().get()));
        let tasks = awaited.take(MAX_AWAITED).map(|task| {
            let receiver = match scope::is_polling(&task) {
                true => None,
                false => task.request_capture().ok(),
            };
            AwaitedTask { task, receiver }
        });
        let tasks: Vec<AwaitedTask> = tasks.collect();
        let woken = tasks.iter().filter(|awaited| awaited.receiver.is_some());
        let wakes = PendingWakes::start(woken.map(|awaited| awaited.task.clone()));
        Self {
            tasks,
            wakes: Some(wakes),
        }
    }

    /// Waits briefly until the tasks have been woken.
    pub(super) fn wait_briefly(&self) {
        if let Some(wakes) = &self.wakes {
            wakes.wait_briefly();
        }
    }

    /// Returns the traces. Blocks the calling thread for [`GRACE`] at most.
    pub(super) fn wait(self) -> Traces {
        let deadline = Instant::now() + GRACE;
        self.traces(deadline)
    }

    /// Returns the traces. Blocks another thread instead of the calling one, if there is anything to wait for.
    pub(super) async fn wait_async(self) -> Traces {
        let is_ready =
            |awaited: &AwaitedTask| awaited.receiver.as_ref().is_none_or(Receiver::is_ready);
        if self.tasks.iter().all(is_ready) {
            return self.traces(Instant::now());
        }
        let (sender, receiver) = oneshot::channel();
        let spawned = os::thread::spawn("tasktrace-awaited", move || {
            let traces = self.wait();
            // Sending calls the waker of the task that waits.
            os::signal::with_program_mask(|| sender.send(Ok(traces)));
        });
        if spawned.is_err() {
            return Vec::new();
        }
        // The waker is cloned at each poll, so that it is a leaf of the task that waits.
        let traces = std::future::poll_fn(|cx| receiver.poll(cx.waker().clone())).await;
        traces.unwrap_or_default()
    }

    fn traces(self, deadline: Instant) -> Traces {
        let traces = self.tasks.iter().map(|awaited| {
            let answer = awaited.receiver.as_ref().and_then(|receiver| {
                wake_pool::wait(receiver, Some(deadline));
                receiver.take()
            });
            let trace = match answer {
                Some(Ok(raw)) => Trace::new(raw),
                _ => Trace::new(snapshot::take(&awaited.task, ExactInstant::now())),
            };
            (awaited.task.id().get(), trace)
        });
        traces.collect()
    }
}

impl Drop for AwaitedTask {
    fn drop(&mut self) {
        if let Some(receiver) = &self.receiver {
            self.task.withdraw(receiver);
        }
    }
}
