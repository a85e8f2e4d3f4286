//! The thread that is told of signals, and the one that reports.
//!
//! The listener sleeps until a signal comes, and does nothing that could take long: that is for the
//! reporter, a thread which is there while there is something to report. So a signal that means the
//! end is heard also while a report waits for somebody to read it.

use std::array;
use std::convert::Infallible;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{ASKED, DumpOnSignal, report};
use crate::os;
use crate::os::relay::{self, Inlet};
use crate::sync::{StaticMutex as Mutex, StaticMutexGuard as MutexGuard};

/// How much longer than its budget a report may delay the end of the process: for names and lines to
/// be looked up, and for it to be written.
const GRACE: Duration = Duration::from_secs(5);

/// Starts the listener, if there is none in this process. One caller at a time.
///
/// # Errors
///
/// If the system refuses what it needs.
pub(super) fn start() -> io::Result<()> {
    if Inlet::is_open() {
        return Ok(());
    }
    let inlet = Inlet::open()?;
    os::thread::spawn("tasktrace-sig", move || listen(inlet)).map(drop)
}

fn listen(mut inlet: Inlet) {
    let desk = Desk::new(|signal| {
        if let Some(options) = options(signal) {
            report::report(&options);
        }
    });
    while let Ok(came) = inlet.wait() {
        let told: Vec<_> = came
            .into_iter()
            .map(|signal| (signal, desk.ask(signal)))
            .collect();
        for (signal, done) in told {
            if relay::ends(signal) {
                let budget = options(signal).map_or(Duration::ZERO, |options| options.budget);
                done.wait(budget.saturating_add(GRACE));
            }
            relay::end(signal);
        }
    }
}

fn options(signal: i32) -> Option<DumpOnSignal> {
    ASKED
        .get(&signal)
        .map(|options| DumpOnSignal::clone(&options))
}

/// Where reports are asked for: at most one for each signal waits while one is being made.
struct Desk<R> {
    report: R,
    inbox: Arc<Mutex<Inbox>>,
}

/// Nothing is allocated or freed while it is locked.
struct Inbox {
    /// By signal who is told when the report is made, by dropping it: whoever asked last.
    asked: [Option<Sender<Infallible>>; SIGNALS],
    /// Whether there is a reporter, who will look here once more.
    is_staffed: bool,
}

/// No system has more signals.
const SIGNALS: usize = 129;

impl Inbox {
    fn new() -> Self {
        Self {
            asked: array::from_fn(|_| None),
            is_staffed: false,
        }
    }

    /// Asks for a report of a signal. Returns whoever asked for it before, to be dropped later.
    fn ask(&mut self, signal: i32, sender: Sender<Infallible>) -> Option<Sender<Infallible>> {
        let index = usize::try_from(signal).unwrap_or(SIGNALS);
        match self.asked.get_mut(index) {
            Some(asked) => asked.replace(sender),
            None => Some(sender),
        }
    }

    /// Takes the report that is to be made next.
    fn next(&mut self) -> Option<(i32, Sender<Infallible>)> {
        let mut asked = (0..).zip(&mut self.asked);
        asked.find_map(|(signal, asked)| Some((signal, asked.take()?)))
    }
}

/// A report that has been asked for.
struct Done(Receiver<Infallible>);

impl Done {
    /// Waits for it.
    fn wait(&self, limit: Duration) {
        let _ = self.0.recv_timeout(limit);
    }
}

impl<R: Fn(i32) + Clone + Send + 'static> Desk<R> {
    fn new(report: R) -> Self {
        Self {
            report,
            inbox: Arc::new(Mutex::new(Inbox::new())),
        }
    }

    fn ask(&self, signal: i32) -> Done {
        let (sender, done) = mpsc::channel();
        let mut inbox = lock(&self.inbox);
        let before = inbox.ask(signal, sender);
        let was_staffed = std::mem::replace(&mut inbox.is_staffed, true);
        drop(inbox);
        drop(before);
        if !was_staffed {
            self.staff();
        }
        Done(done)
    }

    fn staff(&self) {
        let spawned = os::thread::spawn("tasktrace-report", {
            let report = self.report.clone();
            let inbox = Arc::clone(&self.inbox);
            move || work(&inbox, report)
        });
        if spawned.is_err() {
            // Better late than never.
            work(&self.inbox, self.report.clone());
        }
    }
}

/// Makes the reports that are asked for, until there are no more.
fn work(inbox: &Mutex<Inbox>, report: impl Fn(i32)) {
    let next = || {
        let mut inbox = lock(inbox);
        let next = inbox.next();
        inbox.is_staffed = next.is_some();
        next
    };
    while let Some((signal, asked)) = next() {
        // The panic has been told of, by the hook.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| report(signal)));
        drop(asked);
    }
}

fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_one_waits_while_one_is_made() {
        let (begun, begins) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel();
        let goes_on = Arc::new(Mutex::new(goes_on));
        let desk = Desk::new(move |signal| {
            begun.send(signal).expect("the test waits");
            let goes_on = goes_on.lock().expect("one report at a time");
            goes_on.recv().expect("the test goes on");
        });
        let first = desk.ask(10);
        assert_eq!(begins.recv(), Ok(10));
        let rest: Vec<_> = [10, 12, 10, 12, 10].map(|it| desk.ask(it)).into();
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
        // The reporter may have gone, or be about to look once more.
        let last = desk.ask(15);
        assert_eq!(begins.recv(), Ok(15));
        go_on.send(()).expect("it is waited for");
        last.wait(Duration::MAX);
    }

    #[test]
    fn it_is_not_waited_for_longer_than_it_may_take() {
        let (go_on, goes_on) = mpsc::channel::<()>();
        let goes_on = Arc::new(Mutex::new(goes_on));
        let desk = Desk::new(move |_| {
            let goes_on = goes_on.lock().expect("one report at a time");
            let _ = goes_on.recv();
        });
        desk.ask(15).wait(Duration::from_millis(1));
        drop(go_on);
        desk.ask(15).wait(Duration::MAX);
    }

    #[test]
    fn a_report_that_panics_is_over() {
        let (made, makes) = mpsc::channel();
        let desk = Desk::new(move |signal| {
            made.send(signal).expect("the test waits");
            assert_eq!(signal, 12, "a panic that the test asks for");
        });
        desk.ask(10).wait(Duration::MAX);
        desk.ask(12).wait(Duration::MAX);
        assert_eq!(makes.try_iter().collect::<Vec<_>>(), [10, 12]);
    }
}
