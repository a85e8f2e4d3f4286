//! Takes dumps and snapshots.

use std::time::Duration;

use super::ask::ask;
use super::look::Look;
use super::untraced::count;
use super::{Dump, TaskDump};
use crate::capture::{LeafKind, register};
use crate::host::Host;
use crate::os;
use crate::task::{End, TraceHandle, promise, tasks};

/// The time that [`dump`] waits for the tasks.
const BUDGET: Duration = Duration::from_secs(2);

/// Returns all tasks with their live frames, which are the `#[traced]` functions that were suspended.
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
    snapshot_in(Host::current().as_ref())
}

/// Takes a [`snapshot`], and counts the untraced tasks of this runtime.
pub(crate) fn snapshot_in(host: Option<&Host>) -> Dump {
    let handles: Vec<TraceHandle> = tasks().collect();
    let untraced = count(host, &handles, &handles);
    let mut look = Look::now();
    Dump::counted(snapshots(&handles, &mut look), untraced, look.moment())
}

/// Returns these tasks with their live frames.
pub(crate) fn snapshot_of(tasks: &[TraceHandle]) -> Dump {
    Dump::new(snapshots(tasks, &mut Look::now()), None)
}

fn snapshots(tasks: &[TraceHandle], look: &mut Look) -> Vec<TaskDump> {
    tasks.iter().map(|handle| look.snapshot(handle)).collect()
}

/// Asks all tasks, and returns where they are.
///
/// Each task is polled once for its answer. Tasks that do not answer within two seconds are shown as in a
/// [`snapshot`]. A separate thread waits for the answers, so `dump` works on any executor.
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
    // The thread is in no runtime.
    let host = Host::current();
    let (giver, answer) = promise();
    let spawned = os::thread::spawn("tasktrace-dump", {
        let host = host.clone();
        move || {
            let dump = {
                // Dropped before the dump is handed over, so that the thread does not keep the runtime alive.
                let host = host;
                dump_in(host.as_ref(), BUDGET)
            };
            giver.give(Ok(dump));
        }
    });
    if spawned.is_err() {
        // Without the thread, nothing can wait for the answers.
        return snapshot_in(host.as_ref());
    }
    // The waker is registered at each poll, so this is a leaf of the calling task, which is asked as well.
    let dumped =
        std::future::poll_fn(|cx| answer.poll(register(cx.waker(), LeafKind::AwaitsDump))).await;
    dumped.unwrap_or_else(|_: End| snapshot_in(host.as_ref()))
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
    dump_in(Host::current().as_ref(), budget)
}

/// Asks these tasks, and returns a dump of them within `budget`. `tasks` are in the order of their numbers.
pub(crate) fn dump_of(tasks: Vec<TraceHandle>, budget: Duration) -> Dump {
    let all: Vec<TraceHandle> = crate::task::tasks().collect();
    let untraced = count(None, &tasks, &all);
    let mut look = Look::now();
    Dump::counted(ask(&tasks, budget, &mut look), untraced, look.moment())
}

/// Takes a dump as [`dump_blocking`] does, and counts the untraced tasks of this runtime.
pub(crate) fn dump_in(host: Option<&Host>, budget: Duration) -> Dump {
    let handles: Vec<TraceHandle> = tasks().collect();
    let untraced = count(host, &handles, &handles);
    let mut look = Look::now();
    Dump::counted(ask(&handles, budget, &mut look), untraced, look.moment())
}

/// Asks one task, and returns its snapshot if it does not answer within `budget`.
pub(crate) fn asked(handle: &TraceHandle, budget: Duration) -> TaskDump {
    let answer = ask(std::slice::from_ref(handle), budget, &mut Look::now()).pop();
    // It has finished.
    answer.unwrap_or_else(|| TaskDump::of(handle).with_snapshot(handle, None))
}
