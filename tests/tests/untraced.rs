//! How many tasks of a runtime are not traced.

use std::future::pending;
use std::time::Duration;

use tasktrace::traced;
use tasktrace_tests::{current_thread, multi_thread};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};

/// Told by each task when it is polled first.
type Polled = mpsc::UnboundedSender<()>;

async fn plain(polled: Polled) {
    polled.send(()).unwrap();
    pending::<()>().await;
}

#[traced]
async fn attributed(polled: Polled) {
    plain(polled).await;
}

/// Several tasks of ours in one of tokio's.
async fn several(polled: Polled) {
    tokio::join!(
        attributed(polled.clone()),
        tasktrace::traced(plain(polled.clone())).0,
        tasktrace::traced(async {
            tasktrace::traced(plain(polled)).0.await;
        })
        .0,
    );
}

fn untraced() -> Option<usize> {
    tasktrace::snapshot().untraced()
}

/// Spawns tasks of all kinds, of which three are not traced, and waits until all have been polled.
async fn three_untraced() -> JoinSet<()> {
    let (polled, mut all_polled) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        tasks.spawn(plain(polled.clone()));
    }
    for _ in 0..2 {
        tasks.spawn(attributed(polled.clone()));
        tasks.spawn(tasktrace::traced(plain(polled.clone())).0);
        tasks.spawn(several(polled.clone()));
    }
    drop(polled);
    for _ in 0..3 + 2 * 5 {
        all_polled.recv().await.unwrap();
    }
    tasks
}

#[test]
fn of_all_kinds() {
    for runtime in [current_thread(), multi_thread()] {
        runtime.block_on(async {
            assert_eq!(untraced(), Some(0));
            let mut tasks = three_untraced().await;
            assert_eq!(untraced(), Some(3));
            assert_eq!(tasktrace::dump().await.untraced(), Some(3));
            tasks.shutdown().await;
            // tokio counts a task a little longer than until it is joined.
            while untraced() != Some(0) {
                tokio::task::yield_now().await;
            }
        });
    }
}

#[test]
fn a_task_that_was_never_polled() {
    current_thread().block_on(async {
        let mut set = tasktrace::JoinSet::new();
        set.spawn(pending::<()>());
        let task = tasktrace::spawn(pending::<()>());
        assert_eq!(untraced(), Some(0));
        drop((set, task));
    });
}

#[test]
fn without_a_runtime() {
    assert_eq!(untraced(), None);
    let runtime = multi_thread();
    let _tasks = runtime.block_on(three_untraced());
    assert_eq!(untraced(), None);
    let budget = Duration::from_secs(2);
    assert_eq!(tasktrace::dump_blocking(budget).untraced(), None);

    let _guard = runtime.enter();
    assert_eq!(untraced(), Some(3));
    assert_eq!(tasktrace::dump_blocking(budget).untraced(), Some(3));
}

#[test]
fn of_the_runtime_that_asks() {
    let (one, other) = (multi_thread(), current_thread());
    let _tasks = one.block_on(three_untraced());
    other.block_on(async {
        assert_eq!(untraced(), Some(0));
        tokio::spawn(pending::<()>());
        // It is of the one, although it is spawned from the other.
        drop(tasktrace::spawn_on(pending::<()>(), one.handle()));
        assert_eq!(untraced(), Some(1));
    });
    assert_eq!(one.block_on(async { untraced() }), Some(3));
}

#[test]
fn what_is_no_task_of_the_runtime() {
    // Neither `block_on` nor a `LocalSet` takes away from those that are not traced.
    current_thread().block_on(
        tasktrace::traced(async {
            let local = LocalSet::new();
            let local_task = tasktrace::spawn_local_on(pending::<()>(), &local);
            local
                .run_until(async {
                    let _task = tokio::spawn(pending::<()>());
                    let traced_task =
                        tasktrace::spawn_local(attributed(mpsc::unbounded_channel().0));
                    tokio::task::yield_now().await;
                    assert_eq!(untraced(), Some(1));
                    traced_task.abort();
                })
                .await;
            drop(local_task);
        })
        .0,
    );
}

#[test]
fn while_tasks_come_and_go() {
    const ROUNDS: usize = 200;

    multi_thread().block_on(async {
        let mut tasks = three_untraced().await;
        let coming_and_going = tokio::spawn(async {
            for _ in 0..ROUNDS {
                tasktrace::spawn(tokio::task::yield_now()).await.unwrap();
            }
        });
        while !coming_and_going.is_finished() {
            // The task that spawns the others is untraced itself. Few of these come and go between
            // one count and the other.
            let untraced = untraced().unwrap();
            assert!((1..=8).contains(&untraced), "{untraced}");
            tokio::task::yield_now().await;
        }
        tasks.shutdown().await;
    });
}
