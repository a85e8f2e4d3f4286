//! Tests embassy's executor and timers, which require the executor's own wakers.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use embassy_executor::Executor;
use embassy_time::Timer;
use tasktrace::{Source, TraceError, TraceHandle, TracedExt, traced};

/// A time longer than any step of the test takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[embassy_executor::task]
async fn blinks(tell: mpsc::Sender<TraceHandle>, ticks: mpsc::Sender<()>) {
    let (task, handle) = traced(async move {
        loop {
            Timer::after_millis(2).traced("the timer").await;
            if ticks.send(()).is_err() {
                std::future::pending::<()>().await;
            }
        }
    });
    tell.send(handle).expect("it is waited for");
    task.await
}

/// A capture would make the timers panic.
#[test]
fn tasks_of_embassy_are_shown_and_not_captured() {
    let (tell, told) = mpsc::channel();
    let (ticks, ticked) = mpsc::channel();
    // The executor runs as long as the process.
    thread::spawn(move || {
        let executor: &'static mut Executor = Box::leak(Box::new(Executor::new()));
        executor.run(|spawner| spawner.spawn(blinks(tell, ticks).expect("it is the first")));
    });
    let handle = told.recv_timeout(PATIENCE).expect("it begins");
    for _ in 0..5 {
        ticked.recv_timeout(PATIENCE).expect("it goes on");
        let error = handle.backtrace_timeout(PATIENCE).unwrap_err();
        assert_eq!(error, TraceError::OwnWakers);
        // A snapshot in the middle of a poll may lack the timer.
        let deadline = Instant::now() + PATIENCE;
        let task = loop {
            let dump = tasktrace::dump_blocking(Duration::from_secs(1));
            let task = dump.get(handle.id()).expect("it is there").clone();
            if task.trace().contains("the timer") {
                break task;
            }
            assert!(Instant::now() < deadline, "{dump}");
        };
        assert!(matches!(
            task.source(),
            Source::Sample
                | Source::Snapshot {
                    error: Some(TraceError::OwnWakers)
                }
        ));
    }
    while ticked.try_recv().is_ok() {}
    ticked
        .recv_timeout(PATIENCE)
        .expect("it goes on after all that");
}
