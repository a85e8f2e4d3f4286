//! Runs a watchdog on a thread.
//!
//! The thread sleeps on a condition variable, so that stopping it does not wait for the interval. It checks if it must
//! stop between two scans, in the pause of a scan, and before each report. It reports that it has ended after it has
//! dropped the report function.

use std::cell::Cell;
use std::io;
use std::ptr;
use std::sync::PoisonError;
use std::thread::JoinHandle;
use std::time::Duration;

use super::scan::Scanner;
use super::sink::Sink;
use crate::os;
use crate::os::time::Instant;
use crate::sync::{Arc, Condvar, Mutex, lock};

/// The time that [`WatchdogThread::stop`] waits for a thread that is in the middle of a report.
const GRACE: Duration = Duration::from_secs(1);

thread_local! {
    /// The state of the watchdog that runs on this thread. Unlike the id of the thread, it is available until the thread
    /// has ended.
    static OWN: Cell<*const Control> = const { Cell::new(ptr::null()) };
}

/// The state that the thread and its [`WatchdogThread`] share.
struct Control {
    state: Mutex<ControlState>,
    changed: Condvar,
}

struct ControlState {
    is_stopped: bool,
    is_over: bool,
}

/// A thread that scans until it is stopped.
pub(super) struct WatchdogThread {
    control: Arc<Control>,
    thread: JoinHandle<()>,
    /// The process of the thread.
    process: u32,
}

impl WatchdogThread {
    pub(super) fn start(scanner: Scanner, sink: Sink, every: Duration) -> io::Result<Self> {
        let control = Arc::new(Control {
            state: Mutex::new(ControlState {
                is_stopped: false,
                is_over: false,
            }),
            changed: Condvar::new(),
        });
        let thread = os::thread::spawn("tasktrace-watchdog", {
            let control = Arc::clone(&control);
            move || {
                OWN.set(Arc::as_ptr(&control));
                let over = OverGuard(&control);
                run(&control, scanner, sink, every);
                drop(over);
            }
        })?;
        Ok(Self {
            control,
            thread,
            process: os::process_id(),
        })
    }

    /// Stops the thread. After this nothing is reported, unless the thread itself calls this, or the report function
    /// does not return in time.
    pub(super) fn stop(self) {
        // A child of `fork` has a copy of this, but not the thread.
        if self.process != os::process_id() {
            std::mem::forget(self);
            return;
        }
        self.control.change(|state| state.is_stopped = true);
        if OWN.get() == Arc::as_ptr(&self.control) {
            return;
        }
        if self.control.wait_until_over(Instant::now() + GRACE) {
            let _ = self.thread.join();
        }
    }
}

fn run(control: &Control, mut scanner: Scanner, mut sink: Sink, every: Duration) {
    while control.pause(every) {
        scanner.check(
            |time| control.pause(time),
            |report| {
                if !control.is_stopped() {
                    sink.report(report);
                }
            },
        );
    }
}

/// Records that the thread has ended when this guard is dropped, even by a panic.
struct OverGuard<'a>(&'a Control);

impl Drop for OverGuard<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.is_over = true);
    }
}

impl Control {
    fn change(&self, change: impl FnOnce(&mut ControlState)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
    }

    fn is_stopped(&self) -> bool {
        lock(&self.state).is_stopped
    }

    /// Waits for this time, or until the watchdog is stopped. Returns `true` if it is not stopped.
    fn pause(&self, time: Duration) -> bool {
        // A time that is too long for `Instant` never ends.
        let deadline = Instant::now().checked_add(time);
        !self.wait(deadline, |state| state.is_stopped)
    }

    fn wait_until_over(&self, deadline: Instant) -> bool {
        self.wait(Some(deadline), |state| state.is_over)
    }

    /// Waits until `condition` returns `true`, or until the deadline. Returns the last value of `condition`.
    fn wait(&self, deadline: Option<Instant>, condition: impl Fn(&ControlState) -> bool) -> bool {
        let mut state = lock(&self.state);
        while !condition(&state) {
            let unpoison = PoisonError::into_inner;
            state = match deadline {
                None => self.changed.wait(state).unwrap_or_else(unpoison),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }
}
