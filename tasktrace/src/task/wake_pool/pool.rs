//! Decides which worker wakes which task.

use std::time::Duration;

use super::batch::{Batch, BatchList, TaskWake, unlink};
use crate::os::time::Instant;
use crate::task::observation::ExecutorId;

/// The largest number of workers.
pub(super) const MAX_WORKERS: usize = 8;

/// The number of workers that may be in wakers of one kind at the same time.
pub(super) const MAX_PER_WAKER_KIND: usize = 2;

/// The time after which a worker that still wakes the same task is stuck. Wakers take microseconds.
pub(super) const STUCK_AFTER: Duration = Duration::from_millis(5);

/// The address of a waker's vtable, which is the same for all wakers of one kind.
pub(super) type WakerKind = usize;

/// Holds the pending wakes, and the workers that do them.
pub(super) struct Pool {
    /// Batches that were submitted and not queued yet, the latest first.
    incoming: BatchList,
    /// Batches in the order of their submission. They come from `incoming`.
    queue: BatchList,
    /// The number of batches of which no worker has examined a task.
    untouched: usize,
    workers: [Worker; MAX_WORKERS],
    /// The number of workers that wait for work.
    pub(super) idle: usize,
    /// The time of the last [check](Self::check_workers).
    checked_at: Option<Instant>,
    /// The process that the workers belong to.
    pub(super) process: u32,
}

/// The state of a worker thread.
#[derive(Clone, Copy)]
struct Worker {
    exists: bool,
    /// The executor whose waker the worker is calling.
    executor: Option<ExecutorId>,
    /// The kind of the waker that the worker is in.
    waker_kind: Option<WakerKind>,
    /// The number of tasks that the worker has begun to wake.
    wakes_begun: u64,
    /// The value of `wakes_begun` at the last check.
    wakes_at_check: u64,
    is_stuck: bool,
}

const NO_WORKER: Worker = Worker {
    exists: false,
    executor: None,
    waker_kind: None,
    wakes_begun: 0,
    wakes_at_check: 0,
    is_stuck: false,
};

/// The permission of a worker to call a waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Admission {
    Granted,
    /// As many workers as allowed are in wakers of this kind. They may return soon.
    Later,
    /// As many workers as allowed are in wakers of this kind, and all of them are stuck.
    AllStuck,
}

impl Pool {
    pub(super) const fn new(process: u32) -> Self {
        Self {
            incoming: None,
            queue: None,
            untouched: 0,
            workers: [NO_WORKER; MAX_WORKERS],
            idle: 0,
            checked_at: None,
            process,
        }
    }

    /// Adds a batch.
    pub(super) fn submit(&mut self, mut batch: Box<Batch>) {
        self.untouched += usize::from(batch.is_untouched());
        batch.rest = self.incoming.take();
        self.incoming = Some(batch);
    }

    /// Reserves a place for another worker, if there is one. The caller starts the thread.
    pub(super) fn reserve_worker(&mut self) -> Option<usize> {
        let free = self.workers.iter().position(|worker| !worker.exists)?;
        self.workers[free] = Worker {
            exists: true,
            ..NO_WORKER
        };
        Some(free)
    }

    /// Frees the place of a worker that ends, or could not be started.
    pub(super) fn remove_worker(&mut self, index: usize) {
        self.workers[index].exists = false;
    }

    pub(super) fn has_workers(&self) -> bool {
        self.workers.iter().any(|worker| worker.exists)
    }

    /// Returns `true` if there are more untouched batches than idle workers to take them.
    pub(super) fn needs_worker(&self) -> bool {
        self.untouched > self.idle
    }

    /// Finds out which workers are stuck. Returns `false` if the last check was less than [`STUCK_AFTER`] ago; then
    /// it does nothing.
    pub(super) fn check_workers(&mut self, now: Instant) -> bool {
        if self
            .checked_at
            .is_some_and(|checked_at| now.saturating_duration_since(checked_at) < STUCK_AFTER)
        {
            return false;
        }
        self.checked_at = Some(now);
        for worker in self.workers.iter_mut().filter(|it| it.executor.is_some()) {
            worker.is_stuck |= worker.wakes_begun == worker.wakes_at_check;
            worker.wakes_at_check = worker.wakes_begun;
        }
        true
    }

    /// Returns `true` if there are tasks to be woken that no worker has examined.
    pub(super) fn has_work(&self) -> bool {
        let mut link = &self.queue;
        let mut batches = std::iter::from_fn(|| {
            let batch = link.as_ref()?;
            link = &batch.rest;
            Some(batch)
        });
        self.incoming.is_some() || batches.any(|batch| batch.has_unexamined())
    }

    /// Returns `true` if no worker can take more work.
    pub(super) fn are_all_stuck(&self) -> bool {
        let mut all = self.workers.iter().filter(|worker| worker.exists);
        all.all(|worker| worker.is_stuck)
    }

    /// Moves the incoming batches to the end of the queue.
    fn queue_incoming(&mut self) {
        let mut in_order = None;
        while let Some(mut batch) = self.incoming.take() {
            self.incoming = std::mem::replace(&mut batch.rest, in_order);
            in_order = Some(batch);
        }
        let mut end = &mut self.queue;
        while let Some(batch) = end {
            end = &mut batch.rest;
        }
        *end = in_order;
    }

    /// Removes the batches that are over, or for which no requester waits. The caller drops them.
    pub(super) fn take_unwanted(&mut self) -> BatchList {
        let mut unwanted = None;
        self.queue_incoming();
        let mut link = &mut self.queue;
        let mut untouched = 0;
        while let Some(batch) = link.take() {
            match batch.is_over() {
                true => unlink(link, batch, &mut unwanted),
                false => {
                    untouched += usize::from(batch.is_untouched());
                    link = &mut link.insert(batch).rest;
                }
            }
        }
        self.untouched = untouched;
        unwanted
    }

    /// Takes the next wake for this worker. Moves the batches that are over to `finished`, for the caller to drop.
    pub(super) fn take_wake(&mut self, index: usize, finished: &mut BatchList) -> Option<TaskWake> {
        let wake = self.take_queued_wake(index, finished);
        if wake.is_some() || self.incoming.is_none() {
            return wake;
        }
        self.queue_incoming();
        self.take_queued_wake(index, finished)
    }

    fn take_queued_wake(&mut self, index: usize, finished: &mut BatchList) -> Option<TaskWake> {
        let Self {
            queue,
            workers,
            untouched,
            ..
        } = self;
        let mut link = queue;
        while let Some(mut batch) = link.take() {
            // From here on it counts as touched, also if none of its tasks can be woken now.
            *untouched = untouched.saturating_sub(usize::from(batch.is_untouched()));
            let wake = batch.take_next(|task| {
                let executor = task.executor();
                let mut stuck = workers.iter().filter(|worker| worker.is_stuck);
                if stuck.any(|worker| worker.executor == Some(executor)) {
                    return false;
                }
                let worker = &mut workers[index];
                worker.executor = Some(executor);
                worker.wakes_begun += 1;
                true
            });
            match batch.is_over() {
                true => unlink(link, batch, finished),
                false => link = &mut link.insert(batch).rest,
            }
            if wake.is_some() {
                return wake;
            }
        }
        None
    }

    /// Notes that a worker has returned from a waker. If it was stuck, the deferred wakes are tried again.
    pub(super) fn note_returned(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        worker.executor = None;
        worker.waker_kind = None;
        if !std::mem::replace(&mut worker.is_stuck, false) {
            return;
        }
        self.queue_incoming();
        let mut link = &mut self.queue;
        while let Some(batch) = link {
            self.untouched += usize::from(batch.retry_deferred());
            link = &mut batch.rest;
        }
    }

    /// Returns the workers that are in wakers of this kind.
    fn workers_in(&self, kind: WakerKind) -> impl Iterator<Item = &Worker> {
        let is_in = move |worker: &&Worker| worker.waker_kind == Some(kind);
        self.workers.iter().filter(is_in)
    }

    /// Admits this worker to a waker of this kind, if fewer workers than allowed are in such wakers.
    pub(super) fn admit(&mut self, index: usize, kind: WakerKind) -> Admission {
        let admission = self.admission(kind);
        if admission == Admission::Granted {
            self.workers[index].waker_kind = Some(kind);
        }
        admission
    }

    /// Returns the admission that another worker would get to a waker of this kind.
    pub(super) fn admission(&self, kind: WakerKind) -> Admission {
        if self.workers_in(kind).count() < MAX_PER_WAKER_KIND {
            return Admission::Granted;
        }
        match self.workers_in(kind).all(|worker| worker.is_stuck) {
            true => Admission::AllStuck,
            false => Admission::Later,
        }
    }
}
