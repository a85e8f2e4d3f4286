//! Helpers that collect the reports on the tasks of one test.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use tasktrace::{
    Stall, StallPhase, StallReport, TaskState, TraceHandle, Watchdog, WatchdogBuilder,
};

pub(crate) use tasktrace_tests::by_hand::{LONG, wait_until};

/// A limit that is soon exceeded.
pub(crate) const SOON: Duration = Duration::from_millis(60);

/// Returns a watchdog that scans all the time, and reports no task unless a test sets a limit.
pub(crate) fn watchdog_without_limits() -> WatchdogBuilder {
    tasktrace::watchdog()
        .every(Duration::from_millis(10))
        .starved_after(Duration::from_secs(3600))
        .blocked_after(Duration::from_secs(3600))
}

pub(crate) struct Reports {
    received: Receiver<StallReport>,
    _watchdog: Watchdog,
}

impl Reports {
    /// Starts `watchdog`, and collects its reports on tasks whose names contain `name`.
    pub(crate) fn of(name: &'static str, watchdog: WatchdogBuilder) -> Self {
        let (reports, received) = mpsc::channel();
        let watchdog = watchdog.on_stall(move |report| {
            if report.task().name().contains(name) {
                let _ = reports.send(report.clone());
            }
        });
        Self {
            received,
            _watchdog: watchdog.start(),
        }
    }

    #[track_caller]
    pub(crate) fn next(&self) -> StallReport {
        let report = self.received.recv_timeout(LONG);
        report.expect("the watchdog reports in time")
    }

    #[track_caller]
    pub(crate) fn next_is(
        &self,
        kind: Stall,
        phase: StallPhase,
        task: &TraceHandle,
    ) -> StallReport {
        let report = self.next();
        let what = (report.kind(), report.phase(), report.task().id());
        assert_eq!(what, (kind, phase, task.id()), "\n{report}");
        assert!(report.duration() >= report.limit(), "\n{report}");
        report
    }

    /// Returns the next `count` reports, all of the same kind and phase, by task.
    #[track_caller]
    pub(crate) fn next_few(
        &self,
        count: usize,
        kind: Stall,
        phase: StallPhase,
    ) -> BTreeMap<u64, StallReport> {
        let mut reports = BTreeMap::new();
        for _ in 0..count {
            let report = self.next();
            assert_eq!((report.kind(), report.phase()), (kind, phase), "\n{report}");
            let before = reports.insert(report.task().id().get(), report);
            assert!(before.is_none(), "a task was reported twice: {before:?}");
        }
        reports
    }

    /// Returns the reports that were made so far and not returned yet.
    pub(crate) fn rest(&self) -> impl Iterator<Item = StallReport> {
        self.received.try_iter()
    }

    #[track_caller]
    pub(crate) fn no_more(&self) {
        if let Some(report) = self.rest().next() {
            panic!("one more:\n{report}");
        }
    }
}

/// Waits until the thread that polls `task` sleeps, in a poll that only blocks. Before that, it may wait for a
/// processor for as long as the limit of a watchdog, and the report would say that it computes.
///
/// Other systems than Linux do not report the state of threads, so a report cannot say that either.
pub(crate) fn wait_until_asleep(task: &TraceHandle) {
    wait_until(|| match task.state() {
        TaskState::Running(running) if cfg!(target_os = "linux") => {
            let path = format!("/proc/self/task/{}/stat", running.thread_id());
            let stat = std::fs::read_to_string(path).expect("the thread is in a poll");
            // The state follows the name of the thread, which is in parentheses.
            stat.rsplit_once(") ")
                .is_some_and(|(_, state)| state.starts_with('S'))
        }
        state => matches!(state, TaskState::Running(_)),
    });
}

/// Returns the first line of a report.
pub(crate) fn verdict(report: &StallReport) -> String {
    let text = report.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}
