//! Distinguishes threads that compute from threads that wait.

use super::time::Instant;
use std::time::Duration;

/// The time between two moments that are compared. Windows counts the time for which a thread has run in ticks of its
/// clock, of 15.6 ms.
pub(crate) const WINDOW: Duration = Duration::from_millis(if cfg!(windows) { 60 } else { 10 });

/// The largest number of such times in which a thread is watched that could run and hardly runs.
pub(crate) const MOST_WINDOWS: usize = 5;

/// The shortest time between two moments that can be compared. On Windows, a thread that computes for this time has run
/// for a tick.
pub(crate) const SHORTEST_WINDOW: Duration =
    Duration::from_millis(if cfg!(windows) { 16 } else { 0 });

/// The state of a thread as the system reports it at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Activity {
    at: Instant,
    /// The thread runs, or would run if there were a free processor. `false` on Windows, which does not tell.
    is_runnable: bool,
    /// The time for which the thread has run, if the system counts it.
    ran: Option<Duration>,
}

impl Activity {
    /// Asks the system for the state of a thread. Returns `None` if the system does not report it, or if the thread has
    /// ended.
    #[cfg(target_os = "linux")]
    pub(crate) fn of(thread: u64) -> Option<Self> {
        let read = |file| std::fs::read_to_string(format!("/proc/self/task/{thread}/{file}")).ok();
        let stat = read("stat")?;
        let ran = read("schedstat").and_then(|text| text.split(' ').next()?.parse().ok());
        Some(Self {
            at: Instant::now(),
            is_runnable: state(&stat)? == 'R',
            ran: ran.map(Duration::from_nanos),
        })
    }

    #[cfg(windows)]
    pub(crate) fn of(thread: u64) -> Option<Self> {
        let thread = super::opened_thread::OpenedThread::open(thread, 0)?;
        Some(Self {
            at: Instant::now(),
            is_runnable: false,
            ran: Some(thread.cpu_time()?),
        })
    }

    #[cfg(not(any(target_os = "linux", windows)))]
    pub(crate) fn of(_: u64) -> Option<Self> {
        None
    }

    /// Returns `true` if the thread has computed since `earlier`, which is so if it has run for a quarter of the time, and
    /// `false` if it has waited: a thread that waits in a loop runs only for short moments.
    ///
    /// Returns `None` if the thread could have run both times, but has not run for so long. Then it computes and lacks a
    /// processor, or it waits and was interrupted. On Windows, which rarely counts short moments, any counted time is
    /// enough.
    pub(crate) fn computes_since(self, earlier: Self) -> Option<bool> {
        let is_runnable = self.is_runnable && earlier.is_runnable;
        let (Some(after), Some(before)) = (self.ran, earlier.ran) else {
            return Some(is_runnable);
        };
        let ran = after.saturating_sub(before);
        let part = match cfg!(windows) {
            true => Duration::ZERO,
            false => self.at.saturating_duration_since(earlier.at) / 4,
        };
        match !ran.is_zero() && ran >= part {
            true => Some(true),
            false if is_runnable => None,
            false => Some(false),
        }
    }
}

/// Returns the state in the text of `stat`. It follows the name of the thread in parentheses, and the name may contain
/// parentheses.
#[cfg(target_os = "linux")]
fn state(stat: &str) -> Option<char> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.chars().next()
}

#[cfg(all(test, any(target_os = "linux", windows)))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::os::thread::id;

    /// Returns `true` if the thread is seen to compute, or not to compute, in one of 100 intervals. A single interval
    /// may be an exception.
    fn is_seen(thread: u64, computes: bool) -> bool {
        (0..100).any(|_| {
            let before = Activity::of(thread).expect("it is there");
            thread::sleep(WINDOW);
            let after = Activity::of(thread).expect("it is there");
            after.computes_since(before) == Some(computes)
        })
    }

    #[test]
    fn a_busy_thread_computes_and_a_blocked_one_does_not() {
        let (sender, receiver) = mpsc::channel();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let (busy, is_over) = (sender.clone(), &is_over);
            scope.spawn(move || {
                busy.send(id().unwrap()).unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
            assert!(is_seen(receiver.recv().unwrap(), true));
            is_over.store(true, Ordering::Relaxed);

            let (end, ended) = mpsc::channel::<()>();
            scope.spawn(move || {
                sender.send(id().unwrap()).unwrap();
                let _ = ended.recv();
            });
            assert!(is_seen(receiver.recv().unwrap(), false));
            drop(end);
        });
    }

    #[test]
    fn a_runnable_thread_that_hardly_runs_may_compute_or_wait() {
        let start = Instant::now();
        let seen = |is_runnable, milliseconds, ran: Option<u64>| Activity {
            at: start + Duration::from_millis(milliseconds),
            is_runnable,
            ran: ran.map(Duration::from_millis),
        };
        let earlier = seen(true, 0, Some(1000));
        let after = |is_runnable, ran| seen(is_runnable, 100, Some(ran)).computes_since(earlier);
        assert_eq!(after(true, 1090), Some(true));
        assert_eq!(after(false, 1090), Some(true));
        assert_eq!(after(true, 1000), None);
        assert_eq!(after(false, 1000), Some(false));
        let uncounted = |is_runnable| seen(is_runnable, 100, None);
        let after = |is_runnable| uncounted(is_runnable).computes_since(uncounted(true));
        assert_eq!((after(true), after(false)), (Some(true), Some(false)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn names_with_parentheses_are_read() {
        assert_eq!(state("1 (a) R (b)) S 2 3"), Some('S'));
        assert_eq!(state("no thread"), None);
    }

    #[test]
    fn a_thread_that_does_not_exist_has_no_activity() {
        assert!(Activity::of(u64::MAX).is_none());
    }
}
