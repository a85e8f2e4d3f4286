//! Tests that spawned tasks, and the tasks that await them, leave nothing behind. The test has a process of its own,
//! because it counts task headers and frames.

use std::future::pending;

use tasktrace::__private::live;
use tasktrace::{JoinSet, traced};
use tokio::task::yield_now;

#[traced]
async fn short() {
    yield_now().await;
}

/// Awaits handles and sets in all ways.
async fn awaits() {
    tasktrace::spawn(short()).await.unwrap();
    drop(tasktrace::spawn(short()));
    drop(tasktrace::spawn(short()).into_inner());
    let forever = tasktrace::spawn(pending::<()>());
    forever.abort();
    forever.await.unwrap_err();

    let mut set: JoinSet<()> = (0..10).map(|_| short()).collect();
    set.join_next().await.unwrap().unwrap();
    let mut half_way = Box::pin(set.join_next());
    tokio::select! {
        biased;
        _ = &mut half_way => {}
        () = yield_now() => {}
    }
    drop(half_way);
    set.join_all().await;

    let mut set = JoinSet::new();
    set.spawn(pending::<()>());
    set.spawn(pending::<()>());
    tokio::select! {
        biased;
        _ = set.join_next() => unreachable!("they wait for ever"),
        () = yield_now() => {}
    }
    set.shutdown().await;
    set.spawn(short());
    set.detach_all();
    set.spawn(pending::<()>());
}

#[test]
fn spawned_tasks_leave_nothing_behind() {
    let current_thread = tokio::runtime::Builder::new_current_thread().build();
    let multi_thread = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build();
    for runtime in [current_thread, multi_thread] {
        let runtime = runtime.unwrap();
        runtime.block_on(async {
            for _ in 0..100 {
                tasktrace::spawn(awaits()).await.unwrap();
            }
            tasktrace::traced(awaits()).0.await;
            awaits().await;
        });
        // A detached task may still run until the runtime is dropped.
        drop(runtime);
        assert_eq!(live(), (0, 0));
    }
}
