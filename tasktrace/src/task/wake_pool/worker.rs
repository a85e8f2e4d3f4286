//! Runs the workers: the threads that wake tasks.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::batch::{Batch, TaskWake, WakePurpose, discard};
use super::pool::{Admission, WakerKind};
use super::process_pool::{lock_pool, process_pool};
use crate::os;
use crate::os::time::Instant;
use crate::sync::catch_panic;
use crate::task::requests::BorrowedWaker;

/// The time for which a worker waits for more work before it ends.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// The time for which a worker sleeps before it tries again to enter a waker of a kind that enough workers are in.
const ADMISSION_RETRY: Duration = Duration::from_millis(1);

/// `true` if the last worker could not be started, and there was no other. Then no task is woken until one can be
/// started.
static IS_WITHOUT_THREAD: AtomicBool = AtomicBool::new(false);

/// Returns `true` if tasks are not woken, because no thread could be started for that.
pub(crate) fn is_without_thread() -> bool {
    IS_WITHOUT_THREAD.load(Ordering::Relaxed)
}

/// Submits a batch to the workers, and starts another worker if none is idle. Returns at once.
pub(super) fn submit(batch: Box<Batch>) {
    if !os::thread::HAS_THREADS {
        return wake_all(*batch);
    }
    let mut pool = lock_pool();
    pool.submit(batch);
    pool.check_workers(Instant::now());
    // Without an idle worker to remove them, batches without requesters would add up.
    let unwanted = match pool.idle {
        0 => pool.take_unwanted(),
        _ => None,
    };
    let new_worker = match pool.needs_worker() {
        true => pool.reserve_worker(),
        false => None,
    };
    drop(pool);
    process_pool().work_arrived.notify_one();
    if let Some(worker) = new_worker {
        start(worker);
    }
    discard(unwanted);
}

/// Wakes the tasks of a batch on the calling thread.
fn wake_all(mut batch: Batch) {
    while let Some(wake) = batch.take_next(|_| true) {
        if let Some(borrowed) = borrow_waker(&wake) {
            let _ = catch_panic(|| borrowed.wake());
        }
        if let Some(progress) = wake.progress.upgrade() {
            progress.count_wake();
        }
    }
}

/// Checks whether workers are stuck, and has another worker take over from them.
pub(super) fn replace_stuck_workers() {
    let mut pool = lock_pool();
    let has_work = pool.check_workers(Instant::now()) && pool.has_work();
    let new_worker = match has_work && pool.are_all_stuck() {
        true => pool.reserve_worker(),
        false => None,
    };
    // The worker that was notified of a batch may be stuck at one of its tasks, with others still to be woken.
    let can_go_on = has_work && pool.idle > 0;
    drop(pool);
    if can_go_on {
        process_pool().work_arrived.notify_one();
    }
    if let Some(worker) = new_worker {
        start(worker);
    }
}

/// Starts the thread of a worker whose place has been reserved.
fn start(index: usize) {
    let started = os::thread::spawn("tasktrace-waker", move || run(index));
    let mut pool = lock_pool();
    if started.is_err() {
        // The other workers do what they can. Tasks that they do not wake do not answer.
        pool.remove_worker(index);
    }
    // Stored under the lock, so that the last thread to store has seen the last change.
    IS_WITHOUT_THREAD.store(started.is_err() && !pool.has_workers(), Ordering::Relaxed);
}

/// Runs a worker, until there is no work for [`IDLE_TIMEOUT`].
fn run(index: usize) {
    while let Some(wake) = next_wake(index) {
        // Only foreign code panics here.
        let _ = catch_panic(|| wake_or_defer(index, wake));
    }
}

/// Waits for the next wake for this worker. Returns `None` if the worker is to end.
fn next_wake(index: usize) -> Option<TaskWake> {
    let mut finished = None;
    let mut pool = lock_pool();
    pool.note_returned(index);
    let mut has_timed_out = false;
    loop {
        let wake = pool.take_wake(index, &mut finished);
        if wake.is_some() || finished.is_some() {
            drop(pool);
            discard(finished.take());
            if wake.is_some() {
                return wake;
            }
            pool = lock_pool();
            continue;
        }
        if has_timed_out {
            pool.remove_worker(index);
            return None;
        }
        pool.idle += 1;
        let waited = process_pool().work_arrived.wait_timeout(pool, IDLE_TIMEOUT);
        let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        pool = guard;
        pool.idle -= 1;
        has_timed_out = timeout.timed_out();
    }
}

/// Wakes a task, or defers that if enough workers are stuck in wakers of the same kind.
fn wake_or_defer(index: usize, wake: TaskWake) {
    if let Err(kind) = wake_unless_stuck(index, &wake) {
        defer(wake, kind);
    } else if let Some(progress) = wake.progress.upgrade() {
        progress.count_wake();
    }
}

/// Wakes a task. Returns the kind of its waker, and does not call the waker, if enough workers are stuck in such
/// wakers.
fn wake_unless_stuck(index: usize, wake: &TaskWake) -> Result<(), WakerKind> {
    let Some(borrowed) = borrow_waker(wake) else {
        return Ok(());
    };
    let kind = std::ptr::from_ref(borrowed.waker().vtable()).addr();
    if !wait_for_admission(index, kind) {
        return Err(kind);
    }
    os::signal::with_program_mask(|| borrowed.wake());
    Ok(())
}

/// Borrows the waker of the task, unless the task no longer needs to be woken.
fn borrow_waker(wake: &TaskWake) -> Option<BorrowedWaker<'_>> {
    match wake.purpose {
        WakePurpose::Capture => wake.task.borrow_waker_for_capture(),
        WakePurpose::Probe => wake.task.borrow_waker_for_probe(),
    }
}

/// Waits until this worker may enter a waker of this kind. Returns `false` if all workers in such wakers are stuck.
fn wait_for_admission(index: usize, kind: WakerKind) -> bool {
    loop {
        let admission = lock_pool().admit(index, kind);
        match admission {
            Admission::Granted => return true,
            Admission::AllStuck => return false,
            Admission::Later => thread::sleep(ADMISSION_RETRY),
        }
        lock_pool().check_workers(Instant::now());
    }
}

/// Defers a wake until a worker returns that is stuck in a waker of this kind. Drops the wake if it is a probe.
fn defer(wake: TaskWake, kind: WakerKind) {
    if wake.purpose == WakePurpose::Probe {
        return;
    }
    let mut batch = Batch::deferred(wake);
    let mut pool = lock_pool();
    if pool.admission(kind) != Admission::AllStuck {
        // A stuck worker has returned meanwhile, and has tried only those wakes that were deferred before.
        batch.retry_deferred();
    }
    pool.submit(batch);
}
