//! Tests what dumps and snapshots show of tasks that are not traced, and of those that do not answer.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tasktrace::inspect::{Inspection, TaskState};
use tasktrace_inspect_tests::schema::assert_valid;
use tasktrace_inspect_tests::{HOUR, dump_until, one_at_a_time, runtime, tree};
use tokio::sync::{Mutex, Notify, oneshot};
use tokio::time::sleep;

fn line(mark: &str) -> u64 {
    tasktrace_inspect_tests::line(include_str!("dumps.rs"), mark)
}

async fn plain() {
    sleep(HOUR).await; // plain waits
}

async fn in_executor() {
    std::future::pending::<()>().await; // in the executor
}

#[test]
fn a_dump_shows_tasks_of_async_executor() {
    let _lock = one_at_a_time();
    let executor = async_executor::Executor::new();
    for _ in 0..2 {
        executor.spawn(in_executor()).detach();
    }
    while executor.try_tick() {}
    let dump = dump_until(|inspection| inspection.untraced().count() >= 2);
    let inspection = dump.inspected().unwrap();
    for task in inspection.untraced() {
        assert_eq!(task.state, TaskState::Suspended);
        let lines = [
            format!("dumps::in_executor @ {}", line("in the executor")),
            "  std::future::Pending".to_owned(),
        ];
        assert_eq!(tree(task), lines);
    }
    let text = dump.to_string();
    let title = "2 tasks dumps::in_executor, suspended\n  ╼ dumps::in_executor at ";
    assert!(text.contains(title), "{text}");
    assert_valid(&serde_json::from_str(&dump.json().to_string()).unwrap());
}

#[test]
fn a_dump_shows_plain_tasks_once_for_equal_trees() {
    let _lock = one_at_a_time();
    let runtime = runtime();
    for _ in 0..3 {
        runtime.spawn(plain());
    }
    let is_suspended = |state| state == TaskState::Suspended;
    let dump = dump_until(|inspection| {
        let plain = inspection
            .untraced()
            .filter(|task| task.name == "dumps::plain");
        plain.filter(|task| is_suspended(task.state)).count() == 3
    });
    let inspection = dump.inspected().unwrap();
    for task in inspection.untraced() {
        let lines = [
            format!("dumps::plain @ {}", line("plain waits")),
            "  tokio::time::sleep".to_owned(),
        ];
        assert_eq!(tree(task), lines);
    }
    let text = dump.to_string();
    assert!(
        text.contains(" ms: 3 tasks that are not traced\n"),
        "{text}"
    );
    assert_eq!(text.matches("╼ dumps::plain at ").count(), 1, "{text}");
    assert!(
        text.contains("3 tasks dumps::plain, suspended\n  tokio tasks "),
        "{text}"
    );
    assert_valid(&serde_json::from_str(&dump.json().to_string()).unwrap());

    // The debug info has been read, so a snapshot need not wait for it.
    let snapshot = tasktrace::snapshot();
    assert_eq!(snapshot.inspected().unwrap().problem(), None);
    assert_eq!(
        snapshot.inspected().unwrap().untraced().count(),
        3,
        "{snapshot}"
    );
}

async fn hold(lock: Arc<Mutex<u32>>, held: oneshot::Sender<()>, release: Arc<Notify>) {
    let _guard = lock.lock().await;
    held.send(()).unwrap();
    release.notified().await; // hold waits
}

/// Nothing but the address that the task has noted leads to the future.
#[test]
fn a_traced_task_on_another_executor_is_read_and_holds_a_lock() {
    let _lock = one_at_a_time();
    let (lock, release) = (Arc::new(Mutex::new(7)), Arc::new(Notify::new()));
    let (sender, held) = oneshot::channel();
    let (future, handle) = tasktrace::traced(hold(lock.clone(), sender, release.clone()));
    let thread = thread::spawn(move || {
        let boxed: Box<dyn Future<Output = ()>> = Box::new(future);
        pollster::block_on(Box::into_pin(boxed));
    });
    let runtime = runtime();
    held.blocking_recv().unwrap();
    let waiter = runtime.spawn(async move { *lock.lock().await });
    let dump = dump_until(|inspection| {
        let is_read = inspection
            .get(handle.id())
            .is_some_and(|task| task.problem.is_none());
        is_read
            && inspection
                .untraced()
                .any(|task| tree(task).concat().contains("Mutex::lock"))
    });
    let inspection = dump.inspected().unwrap();
    let holder = inspection.get(handle.id()).unwrap();
    let hold = format!("dumps::hold @ {}", line("hold waits"));
    assert_eq!(
        tree(holder),
        [&*hold, "  tokio::sync::Notify::notified"],
        "{dump}"
    );
    assert_eq!(holder.holds[0].variable, "_guard");
    let text = dump.to_string();
    let sentence = format!(
        "held by task {} in dumps::hold at tests/dumps.rs:{}",
        handle.id(),
        line("hold waits")
    );
    assert!(text.contains(&sentence), "{text}");
    release.notify_one();
    assert_eq!(runtime.block_on(waiter).unwrap(), 7);
    thread.join().unwrap();
}

async fn never_polled_again() {
    sleep(HOUR).await; // it waits
}

/// The task is polled once, and then its executor does nothing.
#[test]
fn a_task_that_does_not_answer_is_shown_from_memory() {
    let _lock = one_at_a_time();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (future, handle) = tasktrace::traced(never_polled_again());
    runtime.block_on(async {
        tokio::spawn(future);
        tokio::task::yield_now().await;
    });
    let dump = dump_until(|inspection| inspection.get(handle.id()).is_some());
    let task = dump.inspected().unwrap().get(handle.id()).unwrap();
    let name = format!("dumps::never_polled_again @ {}", line("it waits"));
    assert_eq!(tree(task), [&*name, "  tokio::time::sleep"], "{dump}");
    let text = dump.to_string();
    let header = format!("task {} dumps::never_polled_again, ", handle.id());
    assert_eq!(
        text.matches(&header).count(),
        2,
        "once as asked, once as read:\n{text}"
    );
    drop(runtime);
}

/// The library reads its own memory too, in which copies of what it has read must not look like tasks.
#[test]
fn a_blocking_closure_is_shown_until_it_has_ended() {
    let _lock = one_at_a_time();
    let runtime = runtime();
    for _ in 0..10 {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let closure = runtime.spawn_blocking(move || receiver.recv().unwrap_err());
        let is_blocking = |state| state == TaskState::Blocking;
        let count = |inspection: &Inspection| {
            let blocking = inspection.untraced().filter(|task| is_blocking(task.state));
            blocking.count()
        };
        let dump = dump_until(|inspection| count(inspection) > 0);
        assert_eq!(count(dump.inspected().unwrap()), 1, "{dump}");
        drop(sender);
        runtime.block_on(closure).unwrap();
        let dump = tasktrace::dump_blocking(Duration::from_secs(10));
        assert_eq!(count(dump.inspected().unwrap()), 0, "{dump}");
    }
}
