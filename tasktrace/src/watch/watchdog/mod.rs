//! Tasks that do not go on.
//!
//! * [`look`]: one look at all tasks; [`stall`]: what may be wrong with one.
//! * [`incidents`]: what has been reported; [`probes`]: what is woken.
//! * [`thread`]: the thread that looks; [`sink`]: where reports go.
//!
//! # What a look costs
//!
//! A look goes over all records that are in use, and reads a few atomics of each: what the task is
//! doing, since when, and what polls it. It takes no reference and no lock, and does not look at its
//! live frames, unless there are functions with limits; then it reads the times of those that are
//! among the first four. (Of a task with limits in others, or with
//! a label beside its limit, it takes a reference.) Of a task that looks
//! wrong it takes a reference, and looks again: only what is so then counts (see
//! [`sight`](crate::task::Glance)). What is wrong is looked at a third time a moment later.
//!
//! *Measured* with a million tasks that are suspended, on the 2-core machine this is developed on: 17 ms,
//! and 46 ms if each is in a function with a limit (`cargo bench -p tasktrace-tests --bench watchdog`).
//!
//! What is kept from one look to the next is bounded: the incidents, the tasks that are being waited
//! for, and for each executor whose turn it is. A reference is held to tasks that are reported or
//! waited for, so their records are not used for others meanwhile, and it is never another task that
//! an end is reported of.
//!
//! # Who may do what
//!
//! The watchdog's thread holds no lock but that of [`thread`] for as long as it takes to read a flag,
//! and none when it wakes a task, takes a dump or calls the function that it was given. It writes
//! nothing to a task but the bit of a probe: see [`exchange`](crate::task). Two watchdogs do not
//! know of each other.

mod incidents;
mod look;
mod probes;
mod sink;
mod stall;
mod thread;

use std::fmt;
use std::time::Duration;

use self::look::{Limits, Looker};
use self::sink::Sink;
use self::thread::Running;
use crate::dump::StallReport;

/// What the clock of the tasks can tell apart.
const LEAST_LIMIT: Duration = Duration::from_millis(20);
/// More often than that there is nothing new to be seen.
const LEAST_INTERVAL: Duration = Duration::from_millis(10);

/// Watches over all tasks, and reports those that do not go on.
///
/// It looks at them from a thread of its own, `tasktrace-watchdog`, and reports each of these once
/// when it has found it, and once more when it is over:
///
/// * [`Blocked`](crate::Stall::Blocked): a poll takes longer than
///   [`blocked_after`](WatchdogBuilder::blocked_after). The task computes or blocks its thread, and
///   others wait for that. If the poll is part of one of another task, that is not reported as well.
/// * [`Starved`](crate::Stall::Starved): a task should be polled, but is not for
///   [`starved_after`](WatchdogBuilder::starved_after): its executor does not run, its threads are
///   blocked, by what is traced or what is not, or it has too much to do.
/// * [`Overdue`](crate::Stall::Overdue): a task, or a function in one, is suspended for longer than
///   its own limit, `#[traced(wait_limit = "5s")]`; or a task for longer than
///   [`wait_limit`](WatchdogBuilder::wait_limit), if there is one for the whole program.
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
/// task 7 app::worker "conn 1" no longer blocks tokio-rt-worker (thread 4711): it did for 3.4s
///   ╼ app::worker "conn 1" at src/main.rs:20:5 (3.0s)
/// ```
///
/// # What is starved
///
/// Whoever wakes a task tells its executor, and nobody else. So the watchdog finds out by itself: at
/// each look it wakes one suspended task of each executor, another each time, and sees whether that
/// is polled. An executor is a thread of a runtime, or a thread where nothing is known of a runtime;
/// on a runtime with several threads any of them may poll it. When one has not been polled within the
/// limit, it is reported, and more of the same executor are woken, up to 64, to tell who is affected;
/// so it is when a thread is blocked. To be woken means to be polled once more than necessary. It
/// does not count as progress: a task that goes on waiting has been suspended all along. If the
/// executor is a waker that does something else than to have the task polled later, then it does so.
///
/// A task is starved from when it was woken by the watchdog, or seen to be asked for a trace. Others
/// may have woken it before.
///
/// A task that has not been polled at all is ready from when it was made: by
/// [`traced`](crate::traced()), or by a function that spawns it. So a future that is kept for later is
/// reported, once, at most 64 of them at a time. Make a task of it when it is to run:
/// `let run = || traced(work()).0`. Or leave out of account those in
/// [`TaskState::NeverPolled`](crate::TaskState::NeverPolled).
///
/// A task that is polled by hand is starved as well, if nobody polls it when it is woken. One that is
/// polled by another task is not woken: it has no executor but that.
///
/// # What it costs
///
/// A look over a million healthy tasks takes 17 ms of its own thread, and does not disturb them: no lock is
/// taken and no reference counted. Functions with limits make it look at the times of live
/// frames. Besides, each executor polls a task at each look.
///
/// # Where it reports to
///
/// The function given to [`on_stall`](WatchdogBuilder::on_stall). Without one, with the feature
/// `tracing` events of the target `tasktrace::watchdog`, `WARN` when something begins and `INFO` when
/// it ends, with the fields `task.id`, `task.name`, `kind` and `duration`, and the text as the
/// message; or else stderr.
///
/// # Limits
///
/// * What happens between two looks is not seen: `blocked_after` is found out up to an interval
///   later, and so is an end.
/// * A poll that blocks where that does no harm, as in `tokio::task::block_in_place`, is blocked
///   nevertheless.
/// * A process that is stopped, or has no processor, does not go on either. What looks wrong is looked
///   at again 20 ms later for that reason.
/// * At most 64 tasks of an executor are reported as starved at a time, and 64 of a function as
///   overdue; 1024 in all.
pub fn watchdog() -> WatchdogBuilder {
    WatchdogBuilder {
        limits: Limits {
            starved_after: Duration::from_secs(5),
            wait_limit: Duration::MAX,
            blocked_after: Duration::from_secs(1),
        },
        every: Duration::from_secs(1),
        sink: Sink::default(),
    }
}

/// What a [`watchdog`] is to look for. Nothing is watched until it is [started](Self::start).
///
/// Times below what can be told apart, which is 20 milliseconds, and 10 between two looks, are taken
/// to be that.
///
/// ```
/// use std::time::Duration;
///
/// let _watchdog = tasktrace::watchdog().every(Duration::from_secs(10)).start();
/// ```
#[must_use = "nothing is watched until it is started"]
pub struct WatchdogBuilder {
    limits: Limits,
    every: Duration,
    sink: Sink,
}

impl WatchdogBuilder {
    /// Reports a task that should be polled and is not for this long. If nothing is said, 5 seconds.
    ///
    /// With [`Duration::MAX`], none is reported, and so none is woken.
    pub fn starved_after(mut self, time: Duration) -> Self {
        self.limits.starved_after = time.max(LEAST_LIMIT);
        self
    }

    /// The former name of [`starved_after`](Self::starved_after). It is not about tasks that wait for long.
    #[deprecated(
        note = "it is called `starved_after`; `wait_limit` is about tasks that wait for long"
    )]
    pub fn stalled_after(self, time: Duration) -> Self {
        self.starved_after(time)
    }

    /// Reports a task that is suspended for this long, whatever it waits for. If nothing is said, there is
    /// no such limit: to wait for long is no fault.
    ///
    /// Left out of account are tasks that most likely wait for work, or for the program to stop: at the
    /// `accept` of a server, for a signal or a cancellation. And tasks in which there is a function with a
    /// limit of its own, `#[traced(wait_limit = "1d")]`: that counts.
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

    /// Reports a poll that takes this long. If nothing is said, one second.
    pub fn blocked_after(mut self, time: Duration) -> Self {
        self.limits.blocked_after = time.max(LEAST_LIMIT);
        self
    }

    /// How long to wait between two looks. If nothing is said, one second.
    pub fn every(mut self, time: Duration) -> Self {
        self.every = time.max(LEAST_INTERVAL);
        self
    }

    /// What to do with a report, instead of what is done by default: see [`watchdog`].
    ///
    /// It is called on the watchdog's thread, which does not look while it runs. If it panics, that is
    /// said on stderr the first time, and the watchdog goes on.
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

    /// Starts the watchdog, whose thread goes on until the guard is dropped.
    ///
    /// Several watchdogs can run at the same time; each reports everything. If there can be no thread,
    /// that is said on stderr, and nothing is watched.
    pub fn start(self) -> Watchdog {
        let looker = Looker::new(self.limits);
        match Running::start(looker, self.sink, self.every) {
            Ok(running) => Watchdog(Some(running)),
            Err(error) => {
                sink::say(format_args!(
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

/// Watches until it is dropped: see [`watchdog`].
///
/// To drop it takes no longer than a moment, or if a report is being handled than that, but at most
/// a second. After that nothing is reported, unless that second was not enough. It may be dropped by
/// the function that handles reports, and is not waited for then. What has begun and not ended is not
/// reported to end.
///
/// ```
/// let watchdog = tasktrace::watchdog().start();
/// // …
/// drop(watchdog);
/// ```
#[must_use = "the watchdog is stopped when this is dropped"]
pub struct Watchdog(Option<Running>);

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

/// What makes a look each time it is called, and returns how much there was to report: for
/// benchmarks.
pub(crate) fn looks() -> impl FnMut() -> usize {
    let mut looker = Looker::new(watchdog().limits);
    move || {
        let mut reports = 0;
        looker.look(|_| true, |_| reports += 1);
        reports
    }
}
