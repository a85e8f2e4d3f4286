//! The watchdog reports tasks that make no progress.
//!
//! * [`scan`]: one scan of all tasks; [`stall`]: the checks of one task.
//! * [`incidents`]: the stalls that were reported; [`probes`]: the tasks that are woken to test their executors.
//! * [`memory`]: what was read from memory for the reports of a scan.
//! * [`thread`]: the thread of the watchdog; [`sink`]: the destination of reports.
//!
//! # Cost of a scan
//!
//! A scan visits all task headers in use, and reads a few atomics of each: the state of the task, its time, and its
//! executor. It takes no reference and no lock. It does not read live frames unless some functions have limits. Then it
//! reads the times of the first four frames. (It takes a reference to a task that has limits in other frames, or a
//! label beside its limit.) If a task looks wrong, the scan takes a reference and reads the task again, and only the
//! second reading counts (see [`TaskView`](crate::task::TaskView)). A moment later it checks each problem a third time.
//!
//! *Measured* with a million suspended tasks on a machine with two cores: 17 ms, and 46 ms if each task is in a
//! function with a limit (`cargo bench -p tasktrace-tests --bench watchdog`).
//!
//! The state between scans is bounded: the incidents, the probes, and for each executor the next task to wake. The
//! watchdog holds a reference to each task that it has reported or probed. So the header of the task is not reused, and
//! the end of a stall is always reported for the same task.
//!
//! # Locks and writes
//!
//! The thread of the watchdog holds only the lock of [`thread`], while it reads a flag. It holds no lock when it wakes
//! a task, takes a dump or calls the report function. The only write to a task is the bit of a probe: see the module
//! `requests` of [`task`](crate::task). Watchdogs are independent of each other.

mod incidents;
mod memory;
mod probes;
mod scan;
mod sink;
mod stall;
mod thread;

use std::fmt;
use std::time::Duration;

use self::scan::{Scanner, StallLimits};
use self::sink::Sink;
use self::thread::WatchdogThread;
use crate::dump::StallReport;
use crate::inspect;

/// The smallest limit, which is the resolution of the task clock.
const LEAST_LIMIT: Duration = Duration::from_millis(20);
/// The shortest interval, which is one step of the task clock.
const LEAST_INTERVAL: Duration = Duration::from_millis(10);

/// Returns a builder of a watchdog, which reports tasks that make no progress.
///
/// The watchdog scans all tasks from a thread of its own, `tasktrace-watchdog`. It reports each of these stalls once
/// when it finds it and once when it is over:
///
/// * [`Blocked`](crate::Stall::Blocked): a poll takes longer than [`blocked_after`](WatchdogBuilder::blocked_after).
///   The task computes or blocks its thread, and other tasks wait for that thread. If a task is polled within the poll
///   of another task, only the inner one is reported.
/// * [`Starved`](crate::Stall::Starved): a task was woken and is not polled for
///   [`starved_after`](WatchdogBuilder::starved_after). Its executor does not run, or has too much to do, or its
///   threads are blocked by traced or untraced tasks.
/// * [`Overdue`](crate::Stall::Overdue): a task, or a function in it, is suspended for longer than its own limit,
///   `#[traced(wait_limit = "5s")]`, or a task for longer than the optional
///   [`wait_limit`](WatchdogBuilder::wait_limit) of the whole program.
///
/// ```
/// use std::time::Duration;
///
/// let _watchdog = tasktrace::watchdog()
///     .blocked_after(Duration::from_millis(500))
///     .on_stall(|report| eprintln!("{report}"))
///     .start();
/// ```
///
/// ```text
/// task 7 app::worker "conn 1" has blocked tokio-rt-worker (thread 4711) for 1.2s, in a single poll: app::worker at src/main.rs:20:5
///   ╼ app::worker "conn 1" at src/main.rs:20:5 (3.0s)
/// task 7 app::worker "conn 1" no longer blocks tokio-rt-worker (thread 4711), after 3.4s
///   ╼ app::worker "conn 1" at src/main.rs:20:5 (3.0s)
/// ```
///
/// # Starved tasks
///
/// A wake goes directly to the executor, so the watchdog does not see it. Instead, each scan wakes one suspended task
/// of each executor, a different one each time, and later checks that it was polled. An executor is a thread of a
/// runtime, or a thread without a known runtime. On a runtime with several threads, any of them may poll the task. If a
/// task was not polled within the limit, it is reported, and up to 64 tasks of the same executor are woken to find out
/// which are affected. The same happens when a thread is blocked. A woken task is polled one extra time. This poll does
/// not count as progress: a task that continues to wait counts as suspended all the time. If a waker does something
/// other than schedule its task, the wake of the watchdog does that as well.
///
/// A task counts as starved from the moment when the watchdog woke it, or saw that it was asked for a trace. It may
/// have been woken earlier.
///
/// A task that was never polled is ready from its creation by [`traced`](crate::traced()) or a spawn function. So a
/// future that you keep for later is reported once, and at most 64 such futures at a time. Either make the task when it
/// should run, `let run = || traced(work()).0`, or ignore reports of tasks in
/// [`TaskState::NeverPolled`](crate::TaskState::NeverPolled).
///
/// A task that your own code polls is starved as well, if your code does not poll it when it is woken. A task that
/// another task polls is not woken, because that task is its executor.
///
/// # Cost
///
/// A scan of a million healthy tasks takes 17 ms of the watchdog's thread. It disturbs no task: it takes no lock and
/// counts no reference. If functions have limits, it also reads the times of live frames. At each scan, each executor
/// polls one task.
///
/// # Destination of reports
///
/// Reports go to the function of [`on_stall`](WatchdogBuilder::on_stall). Without one, they go to stderr, or with the
/// feature `tracing` they are events of the target `tasktrace::watchdog`: `WARN` when a stall begins and `INFO` when it
/// ends, with the fields `task.id`, `task.name`, `kind` and `duration`, and the text as the message.
///
/// # Untraced tasks
///
/// With the feature `inspect`, a report that a task is starved or overdue says what memory shows about the cause: who
/// holds the lock that the task waits for, what an awaited task waits for, or which untraced task occupies a thread of
/// its runtime. The debug info of the program is read when the watchdog starts. Memory is read at most once a scan, for
/// at most half a second.
///
/// # Limits
///
/// * The watchdog does not see what happens between two scans. It finds a blocked poll, or the end of a stall, up to
///   one interval late.
/// * A poll that blocks where that is allowed, as in `tokio::task::block_in_place`, is reported as blocked.
/// * In a process that is stopped or has no processor, no task makes progress. For that reason the watchdog checks each
///   problem again after 20 ms.
/// * At most 64 tasks of an executor are reported as starved at a time, at most 64 tasks of a function as overdue, and
///   at most 1024 tasks in total.
pub fn watchdog() -> WatchdogBuilder {
    WatchdogBuilder {
        limits: StallLimits {
            starved_after: Duration::from_secs(5),
            wait_limit: Duration::MAX,
            blocked_after: Duration::from_secs(1),
        },
        every: Duration::from_secs(1),
        sink: Sink::default(),
    }
}

/// Configures a [`watchdog`]. Nothing is watched until it is [started](Self::start).
///
/// Limits below 20 milliseconds are raised to 20 milliseconds, and intervals below 10 milliseconds to 10 milliseconds.
///
/// ```
/// use std::time::Duration;
///
/// let _watchdog = tasktrace::watchdog().every(Duration::from_secs(10)).start();
/// ```
#[must_use = "nothing is watched until it is started"]
pub struct WatchdogBuilder {
    limits: StallLimits,
    every: Duration,
    sink: Sink,
}

impl WatchdogBuilder {
    /// Sets the time after which a task that was woken but not polled is reported. The default is 5 seconds.
    ///
    /// With [`Duration::MAX`], no task is reported as starved, and the watchdog wakes no task.
    pub fn starved_after(mut self, time: Duration) -> Self {
        self.limits.starved_after = time.max(LEAST_LIMIT);
        self
    }

    /// Sets [`starved_after`](Self::starved_after), under its former name.
    #[deprecated(note = "renamed to `starved_after`; `wait_limit` is for tasks that wait too long")]
    pub fn stalled_after(self, time: Duration) -> Self {
        self.starved_after(time)
    }

    /// Sets the time after which any suspended task is reported. By default there is no such limit, because a long wait
    /// is not a fault.
    ///
    /// The limit does not apply to tasks that probably wait for work or for the program to stop: in the `accept` of a
    /// server, for a signal or for a cancellation. Nor does it apply to tasks that contain a function with its own
    /// limit, `#[traced(wait_limit = "1d")]`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let _watchdog = tasktrace::watchdog().wait_limit(Duration::from_secs(60)).start();
    /// ```
    pub fn wait_limit(mut self, time: Duration) -> Self {
        self.limits.wait_limit = time.max(LEAST_LIMIT);
        self
    }

    /// Sets the time after which a poll is reported as blocked. The default is one second.
    pub fn blocked_after(mut self, time: Duration) -> Self {
        self.limits.blocked_after = time.max(LEAST_LIMIT);
        self
    }

    /// Sets the interval between two scans. The default is one second.
    pub fn every(mut self, time: Duration) -> Self {
        self.every = time.max(LEAST_INTERVAL);
        self
    }

    /// Sets the function that handles reports, instead of the [default](watchdog) destination.
    ///
    /// It is called on the watchdog's thread, which does not scan meanwhile. If it panics, the first panic is reported
    /// on stderr, and the watchdog continues.
    ///
    /// ```
    /// let (reports, received) = std::sync::mpsc::channel();
    /// let _watchdog = tasktrace::watchdog()
    ///     .on_stall(move |report| drop(reports.send(report.clone())))
    ///     .start();
    /// assert!(received.try_recv().is_err(), "all is well");
    /// ```
    pub fn on_stall(mut self, on_stall: impl FnMut(&StallReport) + Send + 'static) -> Self {
        self.sink = Sink::new(on_stall);
        self
    }

    /// Starts the watchdog, and returns a guard. The watchdog stops when the guard is dropped.
    ///
    /// Several watchdogs can run at the same time, and each reports all stalls. If the system refuses a thread, a
    /// message on stderr says so, and nothing is watched.
    pub fn start(self) -> Watchdog {
        let scanner = Scanner::new(self.limits);
        // Reading debug info may take seconds, and a stall is reported once.
        inspect::prepare();
        match WatchdogThread::start(scanner, self.sink, self.every) {
            Ok(running) => Watchdog(Some(running)),
            Err(error) => {
                sink::print(format_args!(
                    "tasktrace: the watchdog cannot be started: {error}"
                ));
                Watchdog(None)
            }
        }
    }
}

impl fmt::Debug for WatchdogBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchdogBuilder")
            .field("starved_after", &self.limits.starved_after)
            .field("wait_limit", &self.limits.wait_limit)
            .field("blocked_after", &self.limits.blocked_after)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

/// A guard of a running [`watchdog`], which stops when the guard is dropped.
///
/// If a report is being handled, the drop waits for the report function, for at most one second. After the drop nothing
/// is reported, unless that second was not enough. The report function itself may drop the guard, and then does not
/// wait. The end of a stall that is still going on is not reported.
///
/// ```
/// let watchdog = tasktrace::watchdog().start();
/// // …
/// drop(watchdog);
/// ```
#[must_use = "the watchdog is stopped when this is dropped"]
pub struct Watchdog(Option<WatchdogThread>);

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(running) = self.0.take() {
            running.stop();
        }
    }
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog")
            .field("is_running", &self.0.is_some())
            .finish()
    }
}

/// Returns a function that scans all tasks, and returns the number of reports. Benchmarks use it.
pub(crate) fn scans() -> impl FnMut() -> usize {
    let mut scanner = Scanner::new(watchdog().limits);
    move || {
        let mut reports = 0;
        scanner.check(|_| true, |_| reports += 1);
        reports
    }
}
