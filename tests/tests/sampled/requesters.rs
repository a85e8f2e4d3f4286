//! Tests the requesters of samples: several at the same time, and tasks that are sampled themselves.

use std::future::Future;
use std::pin::Pin;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use tasktrace::{TaskId, TraceError, TraceHandle};
use tasktrace_tests::sampled::{
    BUDGET, LONG, SHORT, Site, alone, dump_until, error, is_sample, sample_until,
};

use crate::support::{Poller, is_slow, sleep};

async fn sleeps(site: Site) {
    sleep(&site);
}

#[test]
fn several_requesters_can_sample_at_the_same_time() {
    let _alone = alone();
    let site = Site::default();
    let pollers: Vec<_> = (0..4).map(|_| Poller::new(sleeps(site.clone()))).collect();
    for poller in &pollers {
        sample_until(poller.id(), |_| true);
    }
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                for _ in 0..25 {
                    let dump = tasktrace::dump_blocking(LONG);
                    for poller in &pollers {
                        assert!(is_sample(dump.get(poller.id()).unwrap()), "{dump}");
                    }
                }
            });
        }
    });
    site.end();
    pollers.into_iter().for_each(Poller::join);
}

/// A signal handler finishes its sample also when the requester has stopped waiting for it.
#[test]
fn a_requester_need_not_wait_for_its_sample() {
    let _alone = alone();
    let site = Site::default();
    let poller = Poller::new(sleeps(site.clone()));
    sample_until(poller.id(), |_| true);
    for budget in [0, 1, 100, 1000, 10_000, 100_000] {
        for _ in 0..200 {
            let dump = tasktrace::dump_blocking(Duration::from_nanos(budget));
            let task = dump.get(poller.id()).unwrap();
            assert!(is_sample(task) || error(task).is_some(), "{dump}");
        }
    }
    let start = Instant::now();
    let dump = tasktrace::dump_blocking(Duration::MAX);
    assert!(start.elapsed() < LONG);
    assert!(is_sample(dump.get(poller.id()).unwrap()), "{dump}");
    site.end();
    poller.join();
}

#[test]
fn a_task_can_sample_others_in_the_middle_of_its_poll() {
    async fn outside(other: TaskId) -> TraceHandle {
        let (task, handle) = tasktrace::traced(inside(other));
        task.await;
        handle
    }

    async fn inside(other: TaskId) {
        let own = tasktrace::current().unwrap().id();
        let dump = dump_until(other, is_sample);
        for task in dump.tasks().filter(|task| task.id() != other) {
            // The task that runs this code, and the task around it.
            assert_eq!(error(task), Some(&TraceError::InsideOwnPoll), "{dump}");
        }
        assert!(dump.get(own).is_some());
        assert_eq!(dump.len(), 3, "{dump}");
    }

    let _alone = alone();
    let site = Site::default();
    let other = Poller::new(sleeps(site.clone()));
    let poller = Poller::new(outside(other.id()));
    assert!(poller.join().is_finished());
    site.end();
    other.join();
}

#[test]
fn two_tasks_can_sample_each_other() {
    static BARRIER: Barrier = Barrier::new(2);

    async fn samples_the_other() -> usize {
        let own = tasktrace::current().unwrap().id();
        BARRIER.wait();
        let mut samples = 0;
        let (budget, dumps) = if is_slow() {
            (BUDGET, 20)
        } else {
            (SHORT, 500)
        };
        for _ in 0..dumps {
            let dump = tasktrace::dump_blocking(budget);
            let others = dump.tasks().filter(|task| task.id() != own);
            samples += others.filter(|task| is_sample(task)).count();
        }
        BARRIER.wait();
        samples
    }

    let _alone = alone();
    let pollers = [
        Poller::new(samples_the_other()),
        Poller::new(samples_the_other()),
    ];
    for samples in pollers.map(Poller::join) {
        assert!(samples > 0);
    }
}

/// The tasks end while they are sampled.
#[test]
fn tasks_that_end_can_be_sampled() {
    async fn runs(time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time {
            std::hint::spin_loop();
        }
    }

    let _alone = alone();
    let runtime = tasktrace_tests::multi_thread();
    let site = Site::default();
    let work = {
        let site = site.clone();
        move || {
            let mut time = 1;
            while !site.is_over() {
                // Some tasks run for longer than a dump waits before it interrupts them, which is an eighth of its
                // budget.
                time = time * 7 % 10_007;
                let (task, _) = tasktrace::traced(runs(Duration::from_micros(time)));
                runtime.block_on(runtime.spawn(task)).unwrap();
            }
        }
    };
    let worker = std::thread::spawn(work);
    let (start, mut samples) = (Instant::now(), 0);
    while samples < 200 {
        let dump = tasktrace::dump_blocking(SHORT);
        samples += dump.tasks().filter(|task| is_sample(task)).count();
        assert!(start.elapsed() < LONG, "{samples} samples");
    }
    site.end();
    worker.join().unwrap();
}

/// Hundreds of tasks are polled inside of each other.
#[test]
fn nested_tasks_on_one_thread_are_all_sampled() {
    type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn nested(depth: usize, site: Site) -> Boxed {
        match depth {
            0 => Box::pin(sleeps(site)),
            _ => Box::pin(tasktrace::traced(nests(depth, site)).0),
        }
    }

    async fn nests(depth: usize, site: Site) {
        nested(depth - 1, site).await;
    }

    let _alone = alone();
    for depth in [200, 1000] {
        let site = Site::default();
        let poller = Poller::with_stack(1 << 26, nested(depth, site.clone()));
        sample_until(poller.id(), |leaf| leaf.name() == "std::thread::sleep");
        let start = Instant::now();
        let dump = tasktrace::dump_blocking(BUDGET);
        assert!(start.elapsed() < LONG);
        let samples = dump.tasks().filter(|task| is_sample(task)).count();
        assert_eq!((dump.len(), samples), (depth + 1, depth + 1));
        let innermost = dump.tasks().last().unwrap();
        assert!(is_sample(innermost));
        assert!(
            innermost.trace().contains("sleeps"),
            "{}",
            innermost.trace()
        );
        site.end();
        poller.join();
    }
}
