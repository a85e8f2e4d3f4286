//! Wakes tasks that have requests, on threads that no requester waits for.
//!
//! Waking a task calls its executor's code, which may not return: a waker that takes a lock blocks for as long as
//! another thread holds it, and an executor in a deadlock holds it forever. A requester has a budget, so it leaves the
//! wake to a worker thread of this pool, and waits for the answer no longer than it wants to. A worker that does not
//! return from a waker is left there, and another worker goes on with the other wakes.
//!
//! # How many workers
//!
//! Most of the time there is one worker, which waits for more wakes for [a while](worker::IDLE_TIMEOUT) before it
//! ends. A request that finds no idle worker starts another, up to [`MAX_WORKERS`](pool::MAX_WORKERS).
//!
//! A worker is *stuck* if it still wakes the same task at the next [check](pool::Pool::check_workers), which comes some
//! time later. While a worker is stuck, no other worker calls a waker of the same executor: those wakes are *deferred*
//! until the stuck worker returns.
//!
//! No more than [`MAX_PER_WAKER_KIND`](pool::MAX_PER_WAKER_KIND) workers are in wakers of one kind at the same time.
//! Another worker waits until one of them returns, and defers the wake if all of them are stuck. So if some executors
//! keep tasktrace's workers, executors of other kinds can still be asked, and few threads are lost, however many tasks
//! there are.
//!
//! On a system without threads, the requester calls the wakers itself.
//!
//! # Signals
//!
//! Workers leave the program's signals to its own threads: no handler of the program runs on a worker, and no worker
//! takes a signal that the program waits for. But a waker is code of the program, and a process that it spawns inherits
//! the signal mask: it would ignore `SIGTERM`. So inside a waker, a worker has the signal mask that its requester had
//! when it started the worker. A requester that is itself a thread of this crate passes on the mask that it had
//! inherited. Handlers may run inside a waker, as they may wherever else the program calls it. The worker holds no lock
//! of tasktrace meanwhile.
//!
//! # No foreign code under the lock
//!
//! Nothing is allocated or freed under the lock of the pool either: batches are linked, and unlinked batches are handed
//! out to be dropped.
//!
//! # Files
//!
//! [`batch`] holds the pending wakes, [`pool`] decides which worker does which, and [`worker`] does them.
//! [`process_pool`] has a pool for each process.

mod batch;
mod pool;
mod process_pool;
mod worker;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use super::oneshot::Receiver;
use super::task_ref::TaskRef;
use crate::os;
use crate::os::time::Instant;
use crate::sync::{StaticCondvar as Condvar, StaticMutex as Mutex};

use batch::{Batch, WakePurpose};
pub(crate) use worker::is_without_thread;

/// The time for which a requester in async code waits for a wake, on a thread of its executor.
///
/// Most often the waker has returned by then. So the executor finds the task woken, as if that had been done inline. An
/// executor whose clock advances when there is nothing to do depends on that.
const BRIEF_WAIT: Duration = Duration::from_millis(100);

/// Tasks that are being woken because they have requests. Dropping this cancels the wakes that have not begun.
pub(crate) struct PendingWakes(Arc<WakeProgress>);

/// The progress of the wakes of one requester. The workers refer to it weakly.
struct WakeProgress {
    /// The number of tasks that are still to be woken.
    remaining: AtomicUsize,
    is_complete: Mutex<bool>,
    completed: Condvar,
}

impl WakeProgress {
    /// Counts a task as woken.
    fn count_wake(&self) {
        if self.remaining.fetch_sub(1, Ordering::AcqRel) == 1 {
            *self
                .is_complete
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = true;
            self.completed.notify_all();
        }
    }
}

impl PendingWakes {
    /// Starts to wake tasks that have requests. Returns at once.
    pub(crate) fn start(tasks: impl Iterator<Item = TaskRef>) -> Self {
        let tasks: Vec<Option<TaskRef>> = tasks.map(Some).collect();
        let progress = Arc::new(WakeProgress {
            remaining: AtomicUsize::new(tasks.len()),
            is_complete: Mutex::new(tasks.is_empty()),
            completed: Condvar::new(),
        });
        if !tasks.is_empty() {
            let requester = Arc::downgrade(&progress);
            worker::submit(Batch::new(tasks, WakePurpose::Capture, requester));
        }
        Self(progress)
    }

    /// Returns `true` if the wakers of all tasks have returned.
    pub(crate) fn are_complete(&self) -> bool {
        self.0.remaining.load(Ordering::Acquire) == 0
    }

    /// Waits until all wakers have returned, for [`BRIEF_WAIT`] at most.
    pub(crate) fn wait_briefly(&self) {
        let deadline = Instant::now() + BRIEF_WAIT;
        let mut is_complete = self
            .0
            .is_complete
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while self.0.remaining.load(Ordering::Acquire) > 0 && !*is_complete {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.0.completed.wait_timeout(is_complete, left);
            is_complete = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Wakes a task to see whether it is polled. Returns at once.
pub(crate) fn probe(task: TaskRef) {
    worker::submit(Batch::new(
        vec![Some(task)],
        WakePurpose::Probe,
        Weak::new(),
    ));
}

/// Blocks until there is an answer, or until `deadline`. Meanwhile it replaces stuck workers, so that the answer does
/// not wait for a waker that does not return.
pub(crate) fn wait<T>(answer: &Receiver<T>, deadline: Option<Instant>) {
    // Without threads, only the caller could poll the task.
    while os::thread::HAS_THREADS {
        let next_check = Instant::now() + pool::STUCK_AFTER;
        let until = deadline.map_or(next_check, |deadline| deadline.min(next_check));
        if answer.wait(Some(until)) || deadline.is_some_and(|deadline| deadline <= until) {
            return;
        }
        worker::replace_stuck_workers();
    }
}
