//! The guard, and the function that reports are given to.

use std::future::pending;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use tasktrace::StallPhase::{Began, Ended};
use tasktrace::{Stall, Watchdog, WatchdogBuilder};
use tasktrace_tests::HOUR;

use crate::support::{LONG, Reports, SOON, indifferent};

fn watchdog() -> WatchdogBuilder {
    indifferent().starved_after(SOON)
}

/// Is reported when it is kept.
macro_rules! kept {
    ($name:ident) => {{
        async fn $name() {
            pending::<()>().await;
        }
        tasktrace::traced($name())
    }};
}

#[test]
fn two_watchdogs_report_the_same() {
    let one = Reports::of("reported_twice", watchdog());
    let other = Reports::of("reported_twice", watchdog());
    let (future, handle) = kept!(reported_twice);
    one.next_is(Stall::Starved, Began, &handle);
    other.next_is(Stall::Starved, Began, &handle);
    drop(one);
    drop(future);
    other.next_is(Stall::Starved, Ended, &handle);
    other.no_more();
}

#[test]
fn dropped_in_a_report() {
    let guard: Arc<Mutex<Option<Watchdog>>> = Arc::default();
    let (reports, received) = mpsc::channel();
    let mut locked = guard.lock().unwrap();
    let running = watchdog().on_stall({
        let guard = guard.clone();
        move |report| {
            if report.task().name().contains("seen_once") {
                // Stopped by its own thread, which does not wait for itself.
                drop(guard.lock().unwrap().take());
                reports.send(report.phase()).unwrap();
            }
        }
    });
    *locked = Some(running.start());
    drop(locked);
    let (future, _handle) = kept!(seen_once);
    assert_eq!(received.recv_timeout(LONG), Ok(Began));
    drop(future);
    // Nothing more, but the end of the thread and of what it had.
    assert_eq!(
        received.recv_timeout(LONG),
        Err(RecvTimeoutError::Disconnected)
    );
}

#[test]
fn dropping_waits_for_a_report() {
    let done = Arc::new(AtomicBool::new(false));
    let is_in_report = Arc::new(Barrier::new(2));
    let guard = watchdog().on_stall({
        let (done, is_in_report) = (done.clone(), is_in_report.clone());
        move |report| {
            if report.task().name().contains("waited_for") && report.phase() == Began {
                is_in_report.wait();
                std::thread::sleep(Duration::from_millis(100));
                done.store(true, Ordering::SeqCst);
            }
        }
    });
    let guard = guard.start();
    let (_future, _handle) = kept!(waited_for);
    is_in_report.wait();
    drop(guard);
    assert!(done.load(Ordering::SeqCst));
}

#[test]
fn dropping_does_not_wait_for_ever() {
    let (go, wait) = mpsc::channel::<()>();
    let is_in_report = Arc::new(Barrier::new(2));
    let guard = watchdog().on_stall({
        let is_in_report = is_in_report.clone();
        move |report| {
            if report.task().name().contains("never_ends") && report.phase() == Began {
                is_in_report.wait();
                let _ = wait.recv();
            }
        }
    });
    let guard = guard.start();
    let (_future, _handle) = kept!(never_ends);
    is_in_report.wait();
    let start = Instant::now();
    drop(guard);
    assert!(start.elapsed() < LONG);
    drop(go);
}

#[test]
fn dropping_wakes_it() {
    let (alive, gone) = mpsc::channel::<()>();
    let guard = tasktrace::watchdog().every(HOUR).on_stall(move |_| {
        let _ = &alive;
    });
    drop(guard.start());
    // What it had is gone by now.
    assert_eq!(gone.try_recv(), Err(mpsc::TryRecvError::Disconnected));
}

#[test]
fn times_that_cannot_be_told() {
    let builder = tasktrace::watchdog()
        .every(Duration::MAX)
        .starved_after(Duration::MAX)
        .blocked_after(Duration::MAX);
    drop(builder.start());
    let builder = tasktrace::watchdog()
        .every(Duration::ZERO)
        .starved_after(Duration::ZERO)
        .blocked_after(Duration::ZERO);
    let text = format!("{builder:?}");
    assert!(
        text.contains("starved_after: 20ms, ") && text.contains("blocked_after: 20ms, every: 10ms"),
        "{text}"
    );
}

/// What follows runs in a process of its own, for what it says.
#[test]
fn a_panic_in_a_report() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "guard::panics", "--nocapture"])
        .env(PANICS, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{said}");
    let panics = said.matches("as it has to be").count();
    assert_eq!(panics, 3, "{said}");
    let line = "tasktrace: the function that a watchdog calls has panicked; the watchdog goes on\n";
    assert_eq!(said.matches(line).count(), 1, "{said}");
}

/// Set for the process in which it is to panic.
const PANICS: &str = "TASKTRACE_TEST_PANICS";

#[test]
fn panics() {
    if std::env::var_os(PANICS).is_none() {
        return;
    }
    let (reports, received) = mpsc::channel();
    let _guard = watchdog()
        .on_stall(move |report| {
            reports.send(report.phase()).unwrap();
            panic!("as it has to be");
        })
        .start();
    let (future, _handle) = kept!(is_panicked_about);
    assert_eq!(received.recv_timeout(LONG), Ok(Began));
    drop(future);
    assert_eq!(received.recv_timeout(LONG), Ok(Ended));
    let (_future, _handle) = kept!(is_panicked_about);
    assert_eq!(received.recv_timeout(LONG), Ok(Began));
}
