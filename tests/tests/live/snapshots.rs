//! Tests that a snapshot needs no other thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier, Mutex};

use tasktrace::{TaskState, TraceHandle, current, tasks, traced};

use crate::support::{DrivenTask, outline, wait_for_ever};

#[traced]
async fn waits() {
    wait_for_ever().await;
}

#[test]
fn a_snapshot_needs_no_free_worker() {
    const WORKERS: usize = 2;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .build()
        .unwrap();
    let (suspended, handle) = tasktrace::traced(waits());
    runtime.spawn(suspended);
    while handle.state() != TaskState::Suspended {
        std::thread::yield_now();
    }

    #[traced]
    async fn blocks(inside: Arc<Barrier>, handles: Arc<Mutex<Vec<TraceHandle>>>) {
        handles.lock().unwrap().push(current().unwrap());
        // First when all workers are blocked, and again when they may go on.
        inside.wait();
        inside.wait();
    }
    let inside = Arc::new(Barrier::new(WORKERS + 1));
    let handles = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..WORKERS {
        runtime.spawn(blocks(inside.clone(), handles.clone()));
    }
    inside.wait();

    assert_eq!(outline(&handle.snapshot()), "waits");
    for blocked in handles.lock().unwrap().iter() {
        assert!(blocked.name().ends_with("blocks"));
        let TaskState::Running(running) = blocked.state() else {
            panic!("{:?}", blocked.state());
        };
        assert!(
            running
                .thread_name()
                .is_some_and(|name| name.starts_with("tokio-rt-worker"))
        );
        assert_eq!(outline(&blocked.snapshot()), "blocks");
        assert!(tasks().any(|task| task.id() == blocked.id()));
    }
    inside.wait();
}

#[test]
fn a_task_of_a_stopped_runtime_has_a_snapshot() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (future, handle) = tasktrace::traced(waits());
    let mut future = Box::pin(future);
    runtime.block_on(async {
        assert!(futures::poll!(future.as_mut()).is_pending());
    });
    drop(runtime);
    assert_eq!(outline(&handle.snapshot()), "waits");
}

#[test]
fn a_destructor_can_take_a_snapshot_during_a_panic() {
    struct OnDrop(TraceHandle, Arc<Mutex<String>>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            *self.1.lock().unwrap() = outline(&self.0.snapshot());
        }
    }
    let seen = Arc::new(Mutex::new(String::new()));
    let mut task = DrivenTask::new({
        let seen = seen.clone();
        async move {
            let mut waits = std::pin::pin!(waits());
            assert!(futures::poll!(waits.as_mut()).is_pending());
            let _on_drop = OnDrop(current().unwrap(), seen);
            panic!("on purpose");
        }
    });
    let panicked = catch_unwind(AssertUnwindSafe(|| task.poll()));
    assert!(panicked.is_err());
    assert!(seen.lock().unwrap().ends_with("(waits)"), "{seen:?}");
    assert!(!task.snapshot().contains('('), "{}", task.snapshot());
}

#[test]
fn a_snapshot_of_a_deep_tree_does_not_recurse() {
    const DEPTH: usize = 5_000;
    // The recursion of the futures needs a large stack. A snapshot does not recurse.
    stacker::grow(256 << 20, || {
        #[traced]
        async fn nested(depth: usize) {
            match depth {
                0 => wait_for_ever().await,
                depth => Box::pin(nested(depth - 1)).await,
            }
        }
        let mut task = DrivenTask::new(nested(DEPTH));
        task.suspend();
        let snapshot = task.handle.snapshot();
        std::thread::scope(|scope| {
            let small = std::thread::Builder::new().stack_size(256 << 10);
            let read = || {
                let mut depth = 0;
                let mut frames = snapshot.frames();
                while let [frame] = frames {
                    depth += 1;
                    frames = frame.children();
                }
                assert!(!snapshot.to_string().is_empty());
                depth
            };
            let depth = small.spawn_scoped(scope, read).unwrap().join().unwrap();
            assert_eq!(depth, DEPTH + 1);
        });
    });
}

#[test]
fn a_task_can_take_a_snapshot_of_itself() {
    #[traced]
    async fn outer() -> String {
        inner().await
    }
    #[traced]
    async fn inner() -> String {
        outline(&current().unwrap().snapshot())
    }
    assert_eq!(futures::executor::block_on(outer()), "outer(inner)");
}
