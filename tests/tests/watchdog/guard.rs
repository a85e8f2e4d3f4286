//! Tests the guard of a watchdog, and the function that it calls with reports.

use std::future::pending;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use tasktrace::StallPhase::{Began, Ended};
use tasktrace::{Stall, Watchdog, WatchdogBuilder};
use tasktrace_tests::HOUR;

use crate::support::{LONG, Reports, SOON, watchdog_without_limits};

fn watchdog() -> WatchdogBuilder {
    watchdog_without_limits().starved_after(SOON)
}

/// Creates a task that is kept without a poll, so that it is reported.
macro_rules! kept_task {
    ($name:ident) => {{
        async fn $name() {
            pending::<()>().await;
        }
        tasktrace::traced($name())
    }};
}

#[test]
fn two_watchdogs_report_the_same_task() {
    let one = Reports::of("reported_twice", watchdog());
    let other = Reports::of("reported_twice", watchdog());
    let (future, handle) = kept_task!(reported_twice);
    one.next_is(Stall::Starved, Began, &handle);
    other.next_is(Stall::Starved, Began, &handle);
    drop(one);
    drop(future);
    other.next_is(Stall::Starved, Ended, &handle);
    other.no_more();
}

#[test]
fn a_watchdog_can_be_dropped_in_a_report() {
    let guard: Arc<Mutex<Option<Watchdog>>> = Arc::default();
    let (reports, received) = mpsc::channel();
    let mut locked = guard.lock().unwrap();
    let running = watchdog().on_stall({
        let guard = guard.clone();
        move |report| {
            if report.task().name().contains("seen_once") {
                // The watchdog is stopped by its own thread, which does not wait for itself.
                drop(guard.lock().unwrap().take());
                reports.send(report.phase()).unwrap();
            }
        }
    });
    *locked = Some(running.start());
    drop(locked);
    let (future, _handle) = kept_task!(seen_once);
    assert_eq!(received.recv_timeout(LONG), Ok(Began));
    drop(future);
    // No other report comes: the thread ends, and drops the sender.
    assert_eq!(
        received.recv_timeout(LONG),
        Err(RecvTimeoutError::Disconnected)
    );
}

#[test]
fn dropping_a_watchdog_waits_for_a_running_report() {
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
    let (_future, _handle) = kept_task!(waited_for);
    is_in_report.wait();
    drop(guard);
    assert!(done.load(Ordering::SeqCst));
}

#[test]
fn dropping_a_watchdog_does_not_wait_for_ever() {
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
    let (_future, _handle) = kept_task!(never_ends);
    is_in_report.wait();
    let start = Instant::now();
    drop(guard);
    assert!(start.elapsed() < LONG);
    drop(go);
}

#[test]
fn dropping_a_watchdog_wakes_its_thread() {
    let (sender, receiver) = mpsc::channel::<()>();
    let guard = tasktrace::watchdog().every(HOUR).on_stall(move |_| {
        let _ = &sender;
    });
    drop(guard.start());
    // The function, with the sender, has been dropped.
    assert_eq!(receiver.try_recv(), Err(mpsc::TryRecvError::Disconnected));
}

#[test]
fn durations_that_are_too_short_or_too_long_are_accepted() {
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

/// The reports are in a process of their own, because their output is checked.
#[test]
fn a_panic_in_a_report_does_not_end_the_watchdog() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "guard::panics", "--nocapture"])
        .env(PANICS, "1")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{output}");
    let panics = output.matches("an intended panic").count();
    assert_eq!(panics, 3, "{output}");
    let line =
        "tasktrace: the function that a watchdog calls has panicked; the watchdog continues\n";
    assert_eq!(output.matches(line).count(), 1, "{output}");
}

/// Set for the process in which the function panics.
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
            panic!("an intended panic");
        })
        .start();
    let (future, _handle) = kept_task!(is_panicked_about);
    assert_eq!(received.recv_timeout(LONG), Ok(Began));
    drop(future);
    assert_eq!(received.recv_timeout(LONG), Ok(Ended));
    let (_future, _handle) = kept_task!(is_panicked_about);
    assert_eq!(received.recv_timeout(LONG), Ok(Began));
}
