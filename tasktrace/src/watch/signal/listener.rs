//! Runs the thread that receives signals, and the thread that writes reports.
//!
//! The listener sleeps until a signal arrives, and does nothing that takes long. The reporter does that, on a thread
//! that exists while there is something to report. So a signal that ends the process is received even while a report
//! blocks on its output.

use std::array;
use std::convert::Infallible;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{DumpOnSignal, OPTIONS, report};
use crate::os::self_pipe::{self, SignalReceiver};
use crate::os::{self, SIGNAL_TABLE_SIZE};
use crate::sync::{StaticMutex as Mutex, StaticMutexGuard as MutexGuard};

/// The time beyond its budget by which a report may delay the end of the process, to look up names and lines and to be
/// written.
const GRACE: Duration = Duration::from_secs(5);

/// Starts the listener, if this process has none. Only one thread may call this at a time.
///
/// # Errors
///
/// Returns an error if the system refuses a pipe or a thread.
pub(super) fn start() -> io::Result<()> {
    if SignalReceiver::is_open() {
        return Ok(());
    }
    let receiver = SignalReceiver::open()?;
    os::thread::spawn("tasktrace-sig", move || listen(receiver)).map(drop)
}

/// Receives signals until the pipe fails. Ends the process after the reports of a signal that ends it.
fn listen(mut receiver: SignalReceiver) {
    let reporter = Reporter::new(|signal| {
        if let Some(options) = options(signal) {
            report::report(&options);
        }
    });
    while let Ok(signals) = receiver.wait() {
        let reports: Vec<_> = signals
            .into_iter()
            .map(|signal| (signal, reporter.ask(signal)))
            .collect();
        for (signal, done) in reports {
            if self_pipe::ends(signal) {
                let budget = options(signal).map_or(Duration::ZERO, |options| options.budget);
                done.wait(budget.saturating_add(GRACE));
            }
            self_pipe::end(signal);
        }
    }
}

/// Returns the options of a signal.
fn options(signal: i32) -> Option<DumpOnSignal> {
    OPTIONS
        .get(&signal)
        .map(|options| DumpOnSignal::clone(&options))
}

/// Makes reports on a thread. While it makes one, at most one request for each signal waits.
struct Reporter<R> {
    report: R,
    requests: Arc<Mutex<ReportRequests>>,
}

/// The requests that wait. Nothing is allocated or freed while they are locked.
struct ReportRequests {
    /// The last requester of each signal. Dropping the sender tells it that the report is made.
    requesters: [Option<Sender<Infallible>>; SIGNAL_TABLE_SIZE],
    /// `true` if there is a reporter thread that will check the requests again.
    has_thread: bool,
}

impl ReportRequests {
    fn new() -> Self {
        Self {
            requesters: array::from_fn(|_| None),
            has_thread: false,
        }
    }

    /// Requests a report of a signal. Returns the previous requester, to be dropped without the lock.
    fn ask(&mut self, signal: i32, sender: Sender<Infallible>) -> Option<Sender<Infallible>> {
        let index = usize::try_from(signal).unwrap_or(SIGNAL_TABLE_SIZE);
        match self.requesters.get_mut(index) {
            Some(requester) => requester.replace(sender),
            None => Some(sender),
        }
    }

    /// Takes the next request.
    fn next(&mut self) -> Option<(i32, Sender<Infallible>)> {
        let mut requesters = (0..).zip(&mut self.requesters);
        requesters.find_map(|(signal, requester)| Some((signal, requester.take()?)))
    }
}

/// A report that was requested.
struct PendingReport(Receiver<Infallible>);

impl PendingReport {
    /// Waits until the report is made, for at most `limit`.
    fn wait(&self, limit: Duration) {
        let _ = self.0.recv_timeout(limit);
    }
}

impl<R: Fn(i32) + Clone + Send + 'static> Reporter<R> {
    fn new(report: R) -> Self {
        Self {
            report,
            requests: Arc::new(Mutex::new(ReportRequests::new())),
        }
    }

    fn ask(&self, signal: i32) -> PendingReport {
        let (sender, done) = mpsc::channel();
        let mut requests = lock(&self.requests);
        let before = requests.ask(signal, sender);
        let had_thread = std::mem::replace(&mut requests.has_thread, true);
        drop(requests);
        drop(before);
        if !had_thread {
            self.start_thread();
        }
        PendingReport(done)
    }

    fn start_thread(&self) {
        let spawned = os::thread::spawn("tasktrace-report", {
            let report = self.report.clone();
            let requests = Arc::clone(&self.requests);
            move || work(&requests, report)
        });
        if spawned.is_err() {
            // Without a thread, the listener makes the reports.
            work(&self.requests, self.report.clone());
        }
    }
}

/// Makes the requested reports until none is left.
fn work(requests: &Mutex<ReportRequests>, report: impl Fn(i32)) {
    let next = || {
        let mut requests = lock(requests);
        let next = requests.next();
        requests.has_thread = next.is_some();
        next
    };
    while let Some((signal, requester)) = next() {
        // The panic hook has reported the panic.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| report(signal)));
        drop(requester);
    }
}

fn lock(requests: &Mutex<ReportRequests>) -> MutexGuard<'_, ReportRequests> {
    requests.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_one_request_per_signal_waits_while_a_report_is_made() {
        let (begun, begins) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel();
        let goes_on = Arc::new(Mutex::new(goes_on));
        let reporter = Reporter::new(move |signal| {
            begun.send(signal).expect("the test waits");
            let goes_on = goes_on.lock().expect("one report at a time");
            goes_on.recv().expect("the test goes on");
        });
        let first = reporter.ask(10);
        assert_eq!(begins.recv(), Ok(10));
        let rest: Vec<_> = [10, 12, 10, 12, 10].map(|it| reporter.ask(it)).into();
        assert!(begins.try_recv().is_err());

        go_on.send(()).expect("it is waited for");
        first.wait(Duration::MAX);
        for signal in [10, 12] {
            assert_eq!(begins.recv(), Ok(signal));
            go_on.send(()).expect("it is waited for");
        }
        for report in rest {
            report.wait(Duration::MAX);
        }
        assert!(begins.try_recv().is_err());
        // The reporter thread may have ended, or be about to check again.
        let last = reporter.ask(15);
        assert_eq!(begins.recv(), Ok(15));
        go_on.send(()).expect("it is waited for");
        last.wait(Duration::MAX);
    }

    #[test]
    fn waiting_for_a_report_has_a_limit() {
        let (go_on, goes_on) = mpsc::channel::<()>();
        let goes_on = Arc::new(Mutex::new(goes_on));
        let reporter = Reporter::new(move |_| {
            let goes_on = goes_on.lock().expect("one report at a time");
            let _ = goes_on.recv();
        });
        reporter.ask(15).wait(Duration::from_millis(1));
        drop(go_on);
        reporter.ask(15).wait(Duration::MAX);
    }

    #[test]
    fn a_report_that_panics_ends() {
        let (made, makes) = mpsc::channel();
        let reporter = Reporter::new(move |signal| {
            made.send(signal).expect("the test waits");
            assert_eq!(signal, 12, "a panic that the test asks for");
        });
        reporter.ask(10).wait(Duration::MAX);
        reporter.ask(12).wait(Duration::MAX);
        assert_eq!(makes.try_iter().collect::<Vec<_>>(), [10, 12]);
    }
}
