//! Tests that healthy tasks are not reported.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;
use tasktrace::{Stall, StallReport, tasks, traced};
use tasktrace_tests::{current_thread, multi_thread};

use crate::support::{Reports, wait_until, watchdog_without_limits};

/// Far longer than a poll takes here, and shorter than some of the tasks wait.
const LIMIT: Duration = Duration::from_secs(1);

/// The number of tasks of each kind on a runtime. Even an emulator polls all of them within the limit.
const TASKS: u64 = 100;

#[traced("no. {number}")]
async fn works(number: u64, stop: Arc<AtomicBool>) {
    let mut round = number;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        match round % 4 {
            0 => tokio::time::sleep(Duration::from_millis(number % 50)).await,
            1 => futures::join!(step(), step()).0,
            _ => tokio::task::yield_now().await,
        }
    }
}

#[traced]
async fn step() {
    tokio::task::yield_now().await;
}

/// Waits for longer than the limit of a task that should be polled.
#[traced]
async fn works_now_and_then(stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(LIMIT + Duration::from_millis(200)).await;
        for _ in 0..100 {
            step().await;
        }
    }
}

/// Measures the polls and the wakes of a task. It is the waker of the task, and passes on each wake.
#[derive(Default)]
struct Stopwatch {
    waker: AtomicWaker,
    times: Mutex<Times>,
}

#[derive(Default)]
struct Times {
    /// The start of the last poll.
    polled: Option<Instant>,
    /// The first wake for which the task was not polled yet.
    first_wake: Option<Instant>,
    /// The last wake.
    last_wake: Option<Instant>,
    longest_poll: Duration,
    /// The longest time between a wake and the next poll.
    longest_wait: Duration,
}

impl Stopwatch {
    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap()
    }
}

impl Wake for Stopwatch {
    fn wake(self: Arc<Self>) {
        let now = Some(Instant::now());
        let mut times = self.times();
        times.first_wake = times.first_wake.or(now);
        times.last_wake = now;
        drop(times);
        self.waker.wake();
    }
}

/// Polls a task, and measures each poll from outside of the task. So it never measures less than the watchdog.
struct AroundTask<F> {
    task: Pin<Box<F>>,
    stopwatch: Arc<Stopwatch>,
}

impl<F: Future> Future for AroundTask<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let stopwatch = self.stopwatch.clone();
        let start = Instant::now();
        stopwatch.waker.register(cx.waker());
        stopwatch.times().polled = Some(start);
        let waker = Waker::from(stopwatch.clone());
        let poll = self.task.as_mut().poll(&mut Context::from_waker(&waker));
        let mut times = stopwatch.times();
        times.longest_poll = times.longest_poll.max(start.elapsed());
        poll
    }
}

/// Polls the body of a task, and measures the time since the wake from inside of the task. So it never measures less
/// than the watchdog.
struct InTask<F> {
    body: Pin<Box<F>>,
    stopwatch: Arc<Stopwatch>,
}

impl<F: Future> Future for InTask<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut times = self.stopwatch.times();
        let wait = times
            .first_wake
            .map_or(Duration::ZERO, |wake| wake.elapsed());
        times.longest_wait = times.longest_wait.max(wait);
        // After a wake since the start of this poll, the task is polled again.
        let is_woken = times.last_wake >= times.polled;
        times.first_wake = times.polled.filter(|_| is_woken);
        drop(times);
        self.body.as_mut().poll(cx)
    }
}

type Stopwatches = BTreeMap<u64, Arc<Stopwatch>>;

/// Returns a task that measures its polls, and adds its stopwatch to `all`.
fn measured<F: Future>(
    body: F,
    all: &mut Stopwatches,
) -> AroundTask<impl Future<Output = F::Output> + use<F>> {
    let stopwatch = Arc::<Stopwatch>::default();
    let (task, handle) = tasktrace::traced(InTask {
        body: Box::pin(body),
        stopwatch: stopwatch.clone(),
    });
    all.insert(handle.id().get(), stopwatch.clone());
    AroundTask {
        task: Box::pin(task),
        stopwatch,
    }
}

/// Returns `true` if the report is right: the task was in fact kept waiting, or its poll did take long, as on a machine
/// that has too few processors for its threads.
fn is_right(report: &StallReport, times: &Times) -> bool {
    match report.kind() {
        Stall::Starved => times.longest_wait >= LIMIT,
        // The clock of the tasks may be late on such a machine, so a poll may look longer than it is. But it goes on
        // for at least this long after the watchdog has found it.
        Stall::Blocked => times.longest_poll >= Duration::from_millis(20),
        _ => false,
    }
}

/// No task is reported, except one that a busy machine did keep waiting.
#[test]
fn tasks_of_busy_runtimes_are_not_reported() {
    let stop = Arc::new(AtomicBool::new(false));
    let mut all = Stopwatches::new();
    let runtimes = [multi_thread(), current_thread()];
    let threads = runtimes.map(|runtime| {
        let mut tasks = Vec::new();
        for number in 0..TASKS {
            tasks.push(runtime.spawn(measured(works(number, stop.clone()), &mut all)));
            tasks.push(runtime.spawn(measured(works_now_and_then(stop.clone()), &mut all)));
        }
        std::thread::spawn(move || {
            runtime.block_on(async {
                for task in tasks {
                    task.await.unwrap();
                }
            });
        })
    });
    // Before its first poll, a task waits since its creation.
    wait_until(|| tasks().all(|task| !all.contains_key(&task.id().get()) || task.polls() > 0));
    let watchdog = watchdog_without_limits()
        .starved_after(LIMIT)
        .blocked_after(LIMIT);
    let reports = Reports::of("watchdog::healthy::", watchdog);
    std::thread::sleep(4 * LIMIT);
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
    for report in reports.rest() {
        let times = all[&report.task().id().get()].times();
        assert!(
            is_right(&report, &times),
            "polled for {:?} at most, and within {:?} of each wake:\n{report}",
            times.longest_poll,
            times.longest_wait
        );
    }
}
