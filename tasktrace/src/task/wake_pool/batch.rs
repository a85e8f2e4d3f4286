//! Stores the tasks that are to be woken, in linked batches.

use std::sync::Weak;

use super::WakeProgress;
use crate::task::task_ref::TaskRef;

/// The reason for waking a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WakePurpose {
    /// A requester waits for a capture of the task.
    Capture,
    /// A liveness probe: if the task is polled, its executor runs.
    Probe,
}

/// A task that a worker is about to wake.
pub(super) struct TaskWake {
    pub(super) task: TaskRef,
    pub(super) purpose: WakePurpose,
    pub(super) progress: Weak<WakeProgress>,
}

/// Tasks to be woken, in their order.
pub(super) struct Batch {
    /// `None` in place of each task that a worker has taken.
    tasks: Vec<Option<TaskRef>>,
    purpose: WakePurpose,
    /// Dangles once no requester waits any more, and from the start for a probe.
    progress: Weak<WakeProgress>,
    /// The index of the first task that no worker has examined.
    next: usize,
    /// `true` if some of the tasks before `next` were deferred.
    has_deferred: bool,
    /// The next batch on the list that this one is on.
    pub(super) rest: BatchList,
}

/// A linked list of batches.
pub(super) type BatchList = Option<Box<Batch>>;

impl Batch {
    pub(super) fn new(
        tasks: Vec<Option<TaskRef>>,
        purpose: WakePurpose,
        progress: Weak<WakeProgress>,
    ) -> Box<Self> {
        Box::new(Self {
            tasks,
            purpose,
            progress,
            next: 0,
            has_deferred: false,
            rest: None,
        })
    }

    /// Returns a batch of one task, which is deferred.
    pub(super) fn deferred(wake: TaskWake) -> Box<Self> {
        let mut batch = Self::new(vec![Some(wake.task)], wake.purpose, wake.progress);
        batch.next = 1;
        batch.has_deferred = true;
        batch
    }

    /// Returns `true` if no worker has examined a task of the batch.
    pub(super) fn is_untouched(&self) -> bool {
        self.next == 0
    }

    /// Returns `true` if there are tasks that no worker has examined.
    pub(super) fn has_unexamined(&self) -> bool {
        self.next < self.tasks.len()
    }

    /// Makes workers examine the deferred tasks again. Returns `true` if there are any.
    pub(super) fn retry_deferred(&mut self) -> bool {
        let had_deferred = std::mem::replace(&mut self.has_deferred, false);
        if had_deferred {
            self.next = 0;
        }
        had_deferred
    }

    /// Takes the next task out of the batch for which `may_wake` returns `true`. Defers the tasks before it.
    pub(super) fn take_next(
        &mut self,
        mut may_wake: impl FnMut(&TaskRef) -> bool,
    ) -> Option<TaskWake> {
        while self.is_wanted() && self.has_unexamined() {
            let place = &mut self.tasks[self.next];
            self.next += 1;
            let Some(task) = place.as_ref() else {
                continue;
            };
            if !may_wake(task) {
                self.has_deferred = true;
                continue;
            }
            return place.take().map(|task| TaskWake {
                task,
                purpose: self.purpose,
                progress: self.progress.clone(),
            });
        }
        None
    }

    fn is_wanted(&self) -> bool {
        match self.purpose {
            WakePurpose::Capture => self.progress.strong_count() > 0,
            // A probe is dropped instead of deferred: an executor whose wakers do not return is known not to run.
            WakePurpose::Probe => self.has_unexamined(),
        }
    }

    /// Returns `true` if there is nothing left to do.
    pub(super) fn is_over(&self) -> bool {
        let is_done = !self.has_unexamined() && !self.has_deferred;
        is_done || !self.is_wanted()
    }
}

/// Takes `batch`, which was at `link`, out of its list and puts it at the front of another list.
pub(super) fn unlink(link: &mut BatchList, mut batch: Box<Batch>, into: &mut BatchList) {
    *link = std::mem::replace(&mut batch.rest, into.take());
    *into = Some(batch);
}

/// Drops batches one after the other. Dropping the list would recurse.
pub(super) fn discard(mut batches: BatchList) {
    while let Some(mut batch) = batches {
        batches = batch.rest.take();
    }
}
