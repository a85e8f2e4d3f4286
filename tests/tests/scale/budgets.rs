//! Tests that a dump of very many tasks keeps to its budget.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use tasktrace::{NoSample, Source, TaskState, TraceError};

use crate::{allocations, measure};

/// A waker that counts its wake-ups.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn tasks_are_not_woken_after_the_budget_is_spent() {
    let _alone = crate::alone();
    let count = 10_000;
    let counting = Arc::new(Counting::default());
    let waker = Arc::clone(&counting).into();
    let tasks = (0..count).map(|_| {
        let mut task: Pin<Box<dyn Future<Output = ()>>> = Box::pin(tasktrace::traced(pending()).0);
        let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        task
    });
    let tasks: Vec<_> = tasks.collect();
    let dump = tasktrace::dump_blocking(Duration::ZERO);
    assert_eq!(dump.len(), count, "each is shown");
    let woken = counting.0.load(Ordering::Relaxed);
    assert!(woken < count / 10, "{woken} tasks were woken");
    let is_looked_at = |source: &Source| matches!(source, Source::Snapshot { .. });
    assert!(dump.tasks().all(|task| is_looked_at(task.source())));
    drop(tasks);
}

/// These tasks have nothing to be waited for, and no data that a dump must remember.
#[test]
fn a_million_tasks_that_were_never_polled_are_all_shown() {
    let _alone = crate::alone();
    let count = 1_000_000;
    let make = |_| tasktrace::traced(std::future::ready(())).0;
    let tasks: Vec<_> = (0..count).map(make).collect();
    let dump = tasktrace::dump_blocking(Duration::from_millis(100));
    assert_eq!(dump.len(), count);
    drop(tasks);
}

#[tasktrace::traced]
async fn waits() {
    pending::<()>().await;
}

/// A dump knows as much about a task that does not answer as a snapshot does, and allocates little more for it.
#[test]
fn tasks_that_do_not_answer_allocate_hardly_more_than_in_a_snapshot() {
    let _alone = crate::alone();
    let count = 20_000;
    let tasks = |is_polled: bool| {
        let make = move |_| {
            let mut task: Pin<Box<dyn Future<Output = ()>>> =
                Box::pin(tasktrace::traced(waits()).0);
            // The test never polls the task again.
            let mut context = Context::from_waker(Waker::noop());
            assert!(!is_polled || task.as_mut().poll(&mut context).is_pending());
            task
        };
        (0..count).map(make).collect::<Vec<_>>()
    };
    for is_polled in [false, true] {
        let tasks = tasks(is_polled);
        // The first request allocates a task's request slot, which the task keeps.
        for task in tasktrace::tasks() {
            assert!(task.backtrace_timeout(Duration::ZERO).is_err());
        }
        let (of_snapshot, _) = allocations::count(tasktrace::snapshot);
        for budget in [Duration::ZERO, Duration::from_millis(500)] {
            let (of_dump, dump) = allocations::count(|| tasktrace::dump_blocking(budget));
            assert_eq!(dump.len(), count, "each is shown");
            let ids = || dump.tasks().map(tasktrace::TaskDump::id);
            assert!(ids().is_sorted());
            assert!(
                of_dump < of_snapshot + count / 10,
                "{of_dump} allocations in {budget:?}, and {of_snapshot} for a snapshot",
            );
        }
        drop(tasks);
    }
}

#[tasktrace::traced("number {number}")]
async fn numbered(number: usize) {
    let _ = number;
    pending::<()>().await;
}

/// Tasks that end during a dump are left out, and the dump shows every other task under its own id.
#[test]
fn tasks_keep_their_traces_when_others_finish_during_a_dump() {
    let _alone = crate::alone();
    let make = |number| {
        let (task, handle) = tasktrace::traced(numbered(number));
        let mut task = Box::pin(task);
        let mut context = Context::from_waker(Waker::noop());
        assert!(task.as_mut().poll(&mut context).is_pending());
        (Some(task), handle)
    };
    let (mut tasks, handles): (Vec<_>, Vec<_>) = (0..1_000).map(make).unzip();
    let dumping = std::thread::spawn(|| tasktrace::dump_blocking(Duration::from_secs(2)));
    for task in tasks.iter_mut().step_by(3) {
        *task = None;
    }
    let dump = dumping.join().unwrap();
    for (number, (handle, task)) in handles.iter().zip(&tasks).enumerate() {
        if task.is_some() {
            let shown = dump.get(handle.id()).expect("it is there").trace();
            assert!(shown.to_string().contains(&format!("number {number}")));
        }
    }
}

#[tasktrace::traced]
async fn blocks_its_thread(lock: Arc<Mutex<()>>) {
    drop(lock.lock());
}

/// Polls a task that blocks the calling thread.
fn poll_blocking_task(lock: Arc<Mutex<()>>) {
    let mut task = Box::pin(tasktrace::traced(blocks_its_thread(lock)).0);
    let _ = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

/// The dump also says for each task that there was no time to capture its stack.
#[test]
fn a_dump_of_thousands_of_running_tasks_keeps_its_budget() {
    let _alone = crate::alone();
    let lock = Arc::new(Mutex::new(()));
    let held = lock.lock();
    let begin = |_| {
        let lock = Arc::clone(&lock);
        let thread = thread::Builder::new().stack_size(128 << 10);
        thread.spawn(|| poll_blocking_task(lock)).ok()
    };
    // The system may allow fewer threads.
    let threads: Vec<_> = (0..3_000).map_while(begin).collect();
    let count = threads.len();
    let is_running = |task: &tasktrace::TraceHandle| matches!(task.state(), TaskState::Running(_));
    while tasktrace::tasks().filter(is_running).count() < count {
        thread::yield_now();
    }

    let dump = tasktrace::dump_blocking(Duration::ZERO);
    assert_eq!(dump.len(), count);
    for task in &dump {
        let Source::Snapshot { error } = task.source() else {
            panic!("there was no time for a stack:\n{dump}");
        };
        let no_time = TraceError::NoSample(NoSample::NoTime);
        assert_eq!(error.as_ref(), Some(&no_time), "task {}", task.id());
        assert_eq!(task.name(), "scale::budgets::blocks_its_thread");
    }
    let says = "stack not known: the time for the dump ran out before its thread was interrupted";
    assert!(dump.to_string().contains(says), "{dump}");

    // One round alone may be disturbed by other work of the machine.
    let rounds = || 0..5;
    let snapshots = rounds().map(|_| measure::of(tasktrace::snapshot).0);
    let snapshot = snapshots.max().expect("there are some");
    for budget in [1, 20, 50].map(Duration::from_millis) {
        let dumps = rounds().map(|_| measure::of(|| tasktrace::dump_blocking(budget)).0);
        let dump = dumps.min().expect("there are some");
        let budget = u64::try_from(budget.as_nanos()).expect("it is short");
        // A budget in nanoseconds is generous where work is counted in steps: a step takes longer than a nanosecond.
        let most = snapshot + snapshot / 4 + budget;
        assert!(
            dump <= most,
            "{dump} for a dump with a budget of {budget} ns, {snapshot} for a snapshot"
        );
    }
    drop(held);
    for thread in threads {
        thread.join().expect("it does not panic");
    }
}
