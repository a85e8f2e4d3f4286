//! Taking a dump.

use std::time::Duration;

use super::ask::ask;
use super::look::Look;
use super::untraced::count;
use super::{Dump, TaskDump};
use crate::capture::{LeafKind, register};
use crate::host::Host;
use crate::os;
use crate::task::{End, TraceHandle, promise, tasks};

/// How long [`dump`] waits for the tasks.
const BUDGET: Duration = Duration::from_secs(2);

/// Where all tasks are as far as their live frames tell: the tasks and the `#[traced]` functions in
/// them that have been suspended.
///
/// Nothing is polled, nobody is woken, and nothing is waited for. So it works on any thread and at
/// any time: when all threads of the executor are blocked, when it is gone, in a panic hook.
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

/// As [`snapshot`], of this executor.
pub(crate) fn snapshot_in(host: Option<&Host>) -> Dump {
    let handles: Vec<TraceHandle> = tasks().collect();
    let untraced = count(host, &handles, &handles);
    let mut look = Look::now();
    Dump::counted(snapshots(&handles, &mut look), untraced, look.moment())
}

/// Where these tasks are, as far as their live frames tell.
pub(crate) fn snapshot_of(tasks: &[TraceHandle]) -> Dump {
    Dump::new(snapshots(tasks, &mut Look::now()), None)
}

fn snapshots(tasks: &[TraceHandle], look: &mut Look) -> Vec<TaskDump> {
    tasks.iter().map(|handle| look.snapshot(handle)).collect()
}

/// Where all tasks are: each is asked, and polled once for it, and those that do not answer within
/// two seconds are shown as in a [`snapshot`].
///
/// It does not matter on which executor it is awaited: the waiting is done by a thread of its own.
///
/// # Cancel safety
///
/// The future can be dropped at any time. The thread ends when its two seconds are over, or before.
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
                // Whoever has the dump may expect that nothing keeps the runtime.
                let host = host;
                dump_in(host.as_ref(), BUDGET)
            };
            giver.give(Ok(dump));
        }
    });
    if spawned.is_err() {
        // Without a thread there is nobody to wait.
        return snapshot_in(host.as_ref());
    }
    // Cloned at each poll: so it is a leaf of the task that waits, which is asked as well.
    let dumped =
        std::future::poll_fn(|cx| answer.poll(register(cx.waker(), LeafKind::AwaitsDump))).await;
    dumped.unwrap_or_else(|_: End| snapshot_in(host.as_ref()))
}

/// As [`dump`], and waits for at most `budget`. Where there are so many tasks that it takes more than half of
/// that to ask them, the rest is shown as in a [`snapshot`], which takes about a microsecond for each. So with
/// a million tasks, none of which answers, `dump_blocking(100ms)` takes about as long as a `snapshot` and its
/// budget together, or less.
///
/// While another thread forks, it waits for that as well: until the system has copied the process, and for ten
/// seconds at the most.
///
/// For watchdogs, signal handling threads and tests. In async code use [`dump`]: a thread that an
/// executor needs to poll the tasks must not be blocked.
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

/// Where these tasks are, within a time. They are in the order of their numbers.
pub(crate) fn dump_of(tasks: Vec<TraceHandle>, budget: Duration) -> Dump {
    let all: Vec<TraceHandle> = crate::task::tasks().collect();
    let untraced = count(None, &tasks, &all);
    let mut look = Look::now();
    Dump::counted(ask(&tasks, budget, &mut look), untraced, look.moment())
}

/// As [`dump_blocking`], of this executor.
pub(crate) fn dump_in(host: Option<&Host>, budget: Duration) -> Dump {
    let handles: Vec<TraceHandle> = tasks().collect();
    let untraced = count(host, &handles, &handles);
    let mut look = Look::now();
    Dump::counted(ask(&handles, budget, &mut look), untraced, look.moment())
}

/// One task, which is polled for it, unless it does not answer within `budget`.
pub(crate) fn asked(handle: &TraceHandle, budget: Duration) -> TaskDump {
    let answer = ask(std::slice::from_ref(handle), budget, &mut Look::now()).pop();
    // It has finished.
    answer.unwrap_or_else(|| TaskDump::of(handle).with_snapshot(handle, None))
}
