//! Tests the reports of the watchdog about tasks whose stall an untraced task causes.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use tasktrace::{Stall, StallPhase, StallReport, TraceHandle, Watchdog};
use tasktrace_inspect_tests::{HOUR, dump_until, one_at_a_time, runtime};
use tokio::sync::{Mutex, oneshot};
use tokio::time::sleep;

fn line(mark: &str) -> u64 {
    tasktrace_inspect_tests::line(include_str!("watchdog.rs"), mark)
}

/// Starts a watchdog with short limits, when the debug info has been read.
fn watch() -> (Watchdog, Receiver<StallReport>) {
    let _ = dump_until(|inspection| inspection.problem().is_none());
    let (sender, reports) = mpsc::channel();
    let watchdog = tasktrace::watchdog()
        .every(Duration::from_millis(20))
        .wait_limit(Duration::from_millis(200))
        .starved_after(Duration::from_millis(200))
        .on_stall(move |report| drop(sender.send(report.clone())))
        .start();
    (watchdog, reports)
}

/// Waits for the report that a stall of a task has begun.
fn begun(reports: &Receiver<StallReport>, task: &TraceHandle, kind: Stall) -> StallReport {
    let mut all = reports.iter();
    let is_it = |report: &StallReport| {
        report.task().id() == task.id()
            && (report.kind(), report.phase()) == (kind, StallPhase::Began)
    };
    all.find(is_it).unwrap()
}

async fn hold(lock: Arc<Mutex<u32>>, held: oneshot::Sender<()>, release: oneshot::Receiver<()>) {
    let _guard = lock.lock().await;
    held.send(()).unwrap();
    let _ = release.await; // hold waits
}

async fn wait(lock: Arc<Mutex<u32>>) {
    *lock.lock().await += 1; // wait waits
}

#[test]
fn a_report_names_the_untraced_task_that_holds_the_lock() {
    let _lock = one_at_a_time();
    let runtime = runtime();
    let lock = Arc::new(Mutex::new(7));
    let ((sender, held), (release, released)) = (oneshot::channel(), oneshot::channel());
    let holder = runtime.spawn(hold(Arc::clone(&lock), sender, released));
    held.blocking_recv().unwrap();
    let (future, handle) = tasktrace::traced(wait(lock));
    let waiter = runtime.spawn(future);
    let (watchdog, reports) = watch();
    let report = begun(&reports, &handle, Stall::Overdue);
    let sentence = format!(
        "\n  read from memory: watchdog::wait at tests/watchdog.rs:{} is waiting on tokio::sync::Mutex::lock, held by \
         tokio task {} in watchdog::hold at tests/watchdog.rs:{}, which waits for tokio::sync::oneshot::Receiver",
        line("wait waits"),
        holder.id(),
        line("hold waits")
    );
    let text = report.to_string();
    assert!(text.contains(&sentence), "{text}");
    let inspection = report.inspected().unwrap();
    let mut untraced = inspection.untraced();
    assert!(untraced.any(|task| task.name == "watchdog::hold"));
    // The end is reported without it.
    release.send(()).unwrap();
    runtime.block_on(waiter).unwrap();
    let ended = reports.iter().find(|it| it.phase() == StallPhase::Ended);
    let ended = ended.unwrap();
    assert!(ended.inspected().is_none());
    assert!(!ended.to_string().contains("read from memory"));
    drop(watchdog);
}

async fn join(other: tokio::task::JoinHandle<()>) {
    other.await.unwrap();
}

#[test]
fn a_report_says_what_an_awaited_untraced_task_waits_for() {
    let _lock = one_at_a_time();
    let runtime = runtime();
    let other = runtime.spawn(async {
        sleep(HOUR).await; // other waits
    });
    let id = other.id();
    let (future, handle) = tasktrace::traced(join(other));
    runtime.spawn(future);
    let (watchdog, reports) = watch();
    let text = begun(&reports, &handle, Stall::Overdue).to_string();
    let start = format!("\n  read from memory: tokio task {id} watchdog::");
    assert!(text.contains(&start), "{text}");
    let end = format!(" at tests/watchdog.rs:{}", line("other waits"));
    assert!(
        text.contains("is waiting on tokio::time::sleep ("),
        "{text}"
    );
    assert!(text.contains(&end), "{text}");
    drop(watchdog);
}

async fn occupy(release: Receiver<()>) {
    let _ = release.recv();
}

#[test]
fn a_report_names_the_untraced_task_that_occupies_the_thread() {
    let _lock = one_at_a_time();
    let runtime = runtime();
    let (future, handle) = tasktrace::traced(async { sleep(HOUR).await });
    runtime.spawn(future);
    while handle.polls() == 0 {
        std::thread::yield_now();
    }
    let (watchdog, reports) = watch();
    let (release, released) = mpsc::channel();
    let occupier = runtime.spawn(occupy(released));
    let text = begun(&reports, &handle, Stall::Starved).to_string();
    let sentence = format!(
        "\n  read from memory: tokio task {} watchdog::occupy is running",
        occupier.id()
    );
    assert!(text.contains(&sentence), "{text}");
    drop((release, watchdog));
}
