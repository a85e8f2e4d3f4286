//! Tests that a cycle of tasks in this process is no deadlock if something else holds one of their locks. The only test of
//! this program, so that no other test leaves pointers to locks in memory.

use std::sync::{Arc, Mutex as StdMutex};

use tasktrace::inspect::{Inspection, Task};
use tasktrace_inspect_tests::{dump_until, runtime};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

type Lock = Arc<Mutex<u64>>;

/// Returns `true` if this number of tasks waits for a lock.
fn wait(inspection: &Inspection, count: usize) -> bool {
    let waits = |task: &&Task| task.to_string().contains("Mutex::lock");
    inspection.untraced().filter(waits).count() == count
}

/// Holds a lock, and then waits for another one.
async fn second(mine: Lock, other: Lock, held: oneshot::Sender<()>, go: oneshot::Receiver<()>) {
    let mut mine = mine.lock().await;
    held.send(()).unwrap();
    go.await.unwrap();
    *mine += *other.lock().await;
}

/// Has had the guard of a lock, which something else holds now, and waits for the other lock.
async fn first(
    mine: Lock,
    other: Lock,
    go: oneshot::Sender<()>,
    kept: Arc<StdMutex<Vec<OwnedMutexGuard<u64>>>>,
) {
    let mut dropped = Arc::clone(&mine).lock_owned().await;
    *dropped += 1;
    drop(dropped);
    let guard = mine.lock_owned().await;
    kept.lock().unwrap().push(guard);
    go.send(()).unwrap();
    *other.lock().await += 1;
}

#[test]
fn a_lock_that_an_object_on_the_heap_holds_makes_no_deadlock() {
    let runtime = runtime();
    let (a, b) = (Lock::default(), Lock::default());
    let kept = Arc::default();
    let ((sender, held), (go, goes)) = (oneshot::channel(), oneshot::channel());
    runtime.spawn(second(Arc::clone(&b), Arc::clone(&a), sender, goes));
    held.blocking_recv().unwrap();
    runtime.spawn(first(a, b, go, Arc::clone(&kept)));
    for _ in 0..5 {
        let dump = dump_until(|inspection| wait(inspection, 2));
        let report = dump.inspected().unwrap().report().unwrap();
        assert_eq!(report.deadlocks, [], "{dump}");
        let mut holds = report.tasks.iter().map(|task| task.holds.len());
        assert!(holds.all(|holds| holds == 1), "{dump}");
    }
    drop((runtime, kept));
}
