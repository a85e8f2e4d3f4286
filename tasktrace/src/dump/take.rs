//! Takes dumps and snapshots of all tasks.

use std::time::Duration;

use super::ask::ask;
use super::scan::Scan;
use super::untraced::count;
use super::{Dump, TaskDump};
use crate::capture::{LeafKind, register};
use crate::inspect;
use crate::os;
use crate::runtime::RuntimeHandle;
use crate::task::{CaptureError, TraceHandle, oneshot, tasks};

/// The time that [`dump`] waits for the tasks.
const BUDGET: Duration = Duration::from_secs(2);

/// The time in which memory is read for a snapshot, with the feature `inspect`.
const READING: Duration = Duration::from_millis(500);

/// Returns all tasks with their live frames, which are the `#[traced]` functions that were suspended, or inside which a
/// snapshot or capture was taken.
///
/// A snapshot polls no task, wakes no task, and waits for no task. So it works on any thread and at any time: when all
/// threads of the executor are blocked, when the executor is gone, and in a panic hook. Only a `fork` in another
/// thread delays it, see [`dump_blocking`].
///
/// ```
/// let (future, _handle) = tasktrace::traced(async {});
/// println!("{}", tasktrace::snapshot());
/// # drop(future);
/// ```
#[must_use]
pub fn snapshot() -> Dump {
    snapshot_in(RuntimeHandle::current().as_ref())
}

/// Takes a [`snapshot`], and counts the untraced tasks of the given runtime.
pub(crate) fn snapshot_in(runtime: Option<&RuntimeHandle>) -> Dump {
    let handles: Vec<TraceHandle> = tasks().collect();
    let untraced = count(runtime, &handles, &handles);
    let mut scan = Scan::now();
    let dump = Dump::with_counts(snapshots(&handles, &mut scan), untraced, scan.moment());
    dump.with_inspection(inspect::read(&handles, os::deadline(READING)))
}

/// Takes a snapshot of some tasks.
pub(crate) fn snapshot_of(tasks: &[TraceHandle]) -> Dump {
    Dump::new(snapshots(tasks, &mut Scan::now()), None)
}

fn snapshots(tasks: &[TraceHandle], scan: &mut Scan) -> Vec<TaskDump> {
    tasks.iter().map(|handle| scan.snapshot(handle)).collect()
}

/// Asks all tasks, and returns where they are.
///
/// Each task is polled once for its answer, or twice if children had to be woken. Tasks that do not answer within two
/// seconds are shown as in a [`snapshot`]. A separate thread waits for the answers, so `dump` works on any executor.
///
/// # Cancel safety
///
/// This function is cancel safe. If the future is dropped, the thread ends within its two seconds.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (future, _handle) = tasktrace::traced(std::future::pending::<()>());
/// tokio::spawn(future);
///
/// println!("{}", tasktrace::dump().await);
/// # }
/// ```
pub async fn dump() -> Dump {
    // The thread that takes the dump is in no runtime, so the runtime is determined here.
    let runtime = RuntimeHandle::current();
    let (sender, answer) = oneshot::channel();
    let spawned = os::thread::spawn("tasktrace-dump", {
        let runtime = runtime.clone();
        move || {
            let dump = {
                // The handle is dropped before the dump is sent, so that the thread does not keep the runtime alive.
                let runtime = runtime;
                dump_in(runtime.as_ref(), BUDGET)
            };
            sender.send(Ok(dump));
        }
    });
    if spawned.is_err() {
        // Nothing can wait for the answers without the thread.
        return snapshot_in(runtime.as_ref());
    }
    // Each poll registers the waker, so this is a leaf of the calling task, which is asked as well.
    let dumped =
        std::future::poll_fn(|cx| answer.poll(register(cx.waker(), LeafKind::AwaitsDump))).await;
    dumped.unwrap_or_else(|_: CaptureError| snapshot_in(runtime.as_ref()))
}

/// Asks all tasks, blocks the thread for at most `budget`, and returns where the tasks are.
///
/// Use it in watchdogs, in threads that handle signals, and in tests. In async code use [`dump`], because it must not
/// block a thread that the executor needs to poll the tasks.
///
/// Tasks that do not answer in time are shown as in a [`snapshot`]. If asking takes more than half of the budget, the
/// remaining tasks are shown as in a snapshot too, which takes about a microsecond each. So with a million tasks that
/// do not answer, `dump_blocking(100ms)` takes at most about as long as a snapshot and the budget together.
///
/// If another thread forks, the function also waits until the system has copied the process, for at most ten seconds.
///
/// ```
/// use std::time::Duration;
///
/// let runtime = tokio::runtime::Runtime::new().unwrap();
/// let (future, _handle) = tasktrace::traced(std::future::pending::<()>());
/// runtime.spawn(future);
///
/// println!("{}", tasktrace::dump_blocking(Duration::from_secs(2)));
/// ```
#[must_use]
pub fn dump_blocking(budget: Duration) -> Dump {
    dump_in(RuntimeHandle::current().as_ref(), budget)
}

/// Asks some tasks, and returns a dump of them within `budget`. `tasks` must be in the order of their numbers.
pub(crate) fn dump_of(tasks: Vec<TraceHandle>, budget: Duration) -> Dump {
    let all: Vec<TraceHandle> = crate::task::tasks().collect();
    let untraced = count(None, &tasks, &all);
    let mut scan = Scan::now();
    Dump::with_counts(ask(&tasks, budget, &mut scan), untraced, scan.moment())
}

/// Takes a dump like [`dump_blocking`], and counts the untraced tasks of the given runtime.
pub(crate) fn dump_in(runtime: Option<&RuntimeHandle>, budget: Duration) -> Dump {
    let deadline = os::deadline(budget);
    // Debug info is read while the tasks answer.
    inspect::prepare();
    let handles: Vec<TraceHandle> = tasks().collect();
    let untraced = count(runtime, &handles, &handles);
    let mut scan = Scan::now();
    let dump = Dump::with_counts(ask(&handles, budget, &mut scan), untraced, scan.moment());
    // The tasks have answered, so that most of them wait again.
    dump.with_inspection(inspect::read(&handles, deadline))
}

/// Asks one task, and returns its snapshot if it does not answer within `budget`.
pub(crate) fn dump_task(handle: &TraceHandle, budget: Duration) -> TaskDump {
    let answer = ask(std::slice::from_ref(handle), budget, &mut Scan::now()).pop();
    // There is no entry if the task has finished.
    answer.unwrap_or_else(|| TaskDump::read(handle).with_snapshot(handle, None))
}
