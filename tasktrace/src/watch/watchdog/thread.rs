//! The thread of a watchdog, and how it is stopped.
//!
//! The thread sleeps on a condition variable, so whoever stops it need not wait until it would have
//! woken up. Between two looks, in the pause of one and before each report it finds out whether it
//! is to stop. It says so when it is over and done with: when the function that it calls has been
//! dropped.

use std::io;
use std::process;
use std::sync::PoisonError;
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use super::look::Looker;
use super::sink::Sink;
use crate::os;
use crate::sync::{Arc, Condvar, Mutex, lock};

/// How long whoever stops a thread waits for it, when it is in the middle of a report.
const GRACE: Duration = Duration::from_secs(1);

/// What the thread and the one who stops it share.
struct Control {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    is_stopped: bool,
    is_over: bool,
}

/// A thread that looks. It goes on for ever unless it is stopped.
pub(super) struct Running {
    control: Arc<Control>,
    thread: JoinHandle<()>,
    /// The process that it is a thread of.
    process: u32,
}

impl Running {
    pub(super) fn start(looker: Looker, sink: Sink, every: Duration) -> io::Result<Self> {
        let control = Arc::new(Control {
            state: Mutex::new(State {
                is_stopped: false,
                is_over: false,
            }),
            changed: Condvar::new(),
        });
        let thread = os::thread::spawn("tasktrace-watchdog", {
            let control = Arc::clone(&control);
            move || {
                let over = Over(&control);
                run(&control, looker, sink, every);
                drop(over);
            }
        })?;
        Ok(Self {
            control,
            thread,
            process: process::id(),
        })
    }

    pub(super) fn thread(&self) -> ThreadId {
        self.thread.thread().id()
    }

    /// Stops it. Unless this is called by the thread itself, nothing is reported after, but by a
    /// call that does not return in time.
    pub(super) fn stop(self) {
        // A child of `fork` has a copy of this, but no such thread.
        if self.process != process::id() {
            std::mem::forget(self);
            return;
        }
        self.control.change(|state| state.is_stopped = true);
        if self.thread() == thread::current().id() {
            return;
        }
        if self.control.wait_until_over(Instant::now() + GRACE) {
            let _ = self.thread.join();
        }
    }
}

fn run(control: &Control, mut looker: Looker, mut sink: Sink, every: Duration) {
    while control.pause(every) {
        looker.look(
            |time| control.pause(time),
            |report| {
                if !control.is_stopped() {
                    sink.report(report);
                }
            },
        );
    }
}

/// Says that the thread is over, also if it panics.
struct Over<'a>(&'a Control);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.is_over = true);
    }
}

impl Control {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
    }

    fn is_stopped(&self) -> bool {
        lock(&self.state).is_stopped
    }

    /// Waits for that long, or until it is stopped. Whether it is not.
    fn pause(&self, time: Duration) -> bool {
        // A time too far to be told does not come.
        let deadline = Instant::now().checked_add(time);
        !self.wait(deadline, |state| state.is_stopped)
    }

    fn wait_until_over(&self, deadline: Instant) -> bool {
        self.wait(Some(deadline), |state| state.is_over)
    }

    /// Waits until it is so, but not longer than until the deadline. Whether it is so.
    fn wait(&self, deadline: Option<Instant>, is_so: impl Fn(&State) -> bool) -> bool {
        let mut state = lock(&self.state);
        while !is_so(&state) {
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
