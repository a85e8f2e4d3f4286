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

/// The counts, with the task that each is named by.
fn of_runtimes(dump: &tasktrace::Dump) -> Vec<(u64, usize)> {
    let untraced = dump.untraced_by_runtime().iter();
    untraced
        .map(|it| (it.runtime_of().unwrap().get(), it.count()))
        .collect()
}

/// Returns the counts for the runtime of this test, without those for runtimes of other tests.
fn of_runtime(dump: &tasktrace::Dump, first: u64) -> Option<usize> {
    let all = of_runtimes(dump);
    let mine = all.iter().find(|(task, _)| *task == first);
    mine.map(|(_, count)| *count)
}

#[test]
fn a_plain_thread_is_told_of_the_runtimes_of_all_tasks() {
    let budget = Duration::from_secs(2);
    for runtime in [current_thread(), multi_thread()] {
        runtime.block_on(async {
            let (body, handle) = tasktrace::traced(async {
                let _tasks = three_untraced().await;
                let first = tasktrace::current().unwrap().id().get();
                let asked = std::thread::spawn(move || {
                    (tasktrace::snapshot(), tasktrace::dump_blocking(budget))
                });
                let asked = tokio::task::spawn_blocking(|| asked.join().unwrap());
                let (snapshot, dump) = asked.await.unwrap();
                for dump in [snapshot, dump, tasktrace::dump().await] {
                    // `spawn_blocking` is one of the runtime's tasks, and is done by the time of the last.
                    let count = of_runtime(&dump, first).unwrap();
                    assert!((3..=4).contains(&count), "{dump}");
                    let sentence = format!(
                        "{count} more tokio tasks on the runtime of task {first} are not traced"
                    );
                    let text = dump.to_string();
                    assert!(text.contains(&sentence), "{text}");
                    let advice = text.lines().nth(1).unwrap();
                    assert!(advice.contains("`tasktrace::spawn`"), "{text}");
                    assert!(advice.contains("`#[traced]`"), "{text}");
                    let json = dump.json().to_string();
                    let field = format!("{{\"runtime_of\":{first},\"count\":{count}}}");
                    assert!(json.contains(&field), "{json}");
                }
            });
            body.await;
            drop(handle);
        });
    }
}

/// Whether a handle of this runtime is kept by anybody but the runtime: then so is what it captures.
#[test]
fn counting_tasks_does_not_keep_a_runtime_alive() {
    use std::sync::{Arc, Weak};

    let kept: Vec<Weak<()>> = (0..8)
        .map(|workers| {
            let captured = Arc::new(());
            let weak = Arc::downgrade(&captured);
            let mut builder = match workers {
                0..4 => tokio::runtime::Builder::new_current_thread(),
                _ => tokio::runtime::Builder::new_multi_thread(),
            };
            let builder = builder.worker_threads(2);
            let runtime = builder
                .on_thread_start(move || _ = &captured)
                .build()
                .unwrap();
            // The handle outlives the runtime. What it is of does not keep the runtime.
            let handle = runtime.block_on(async {
                let (polled, mut all_polled) = mpsc::unbounded_channel();
                let first = tasktrace::spawn(attributed(polled.clone()));
                let rest: Vec<_> = (0..5)
                    .map(|_| tasktrace::spawn(attributed(polled.clone())))
                    .collect();
                for _ in 0..6 {
                    all_polled.recv().await.unwrap();
                }
                // The anchor of the runtime most likely ends before the others.
                first.abort();
                assert!(first.await.unwrap_err().is_cancelled());
                let _dump = tasktrace::dump().await;
                rest[4].trace_handle().clone()
            });
            drop(runtime);
            drop(handle);
            weak
        })
        .collect();
    assert!(kept.iter().all(|weak| weak.upgrade().is_none()));
}

#[test]
fn another_task_takes_over_from_one_that_has_ended() {
    let runtime = multi_thread();
    let (first, tasks) = runtime.block_on(async {
        let mut tasks = three_untraced().await;
        let (polled, mut all_polled) = mpsc::unbounded_channel();
        let short: Vec<_> = (0..4)
            .map(|_| tasktrace::spawn(attributed(polled.clone())))
            .collect();
        let long = tasktrace::spawn(attributed(polled.clone()));
        for _ in 0..5 {
            all_polled.recv().await.unwrap();
        }
        // All that were traced end but one, in the order in which they were the first to be.
        tasks.detach_all();
        for task in short {
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        (long.trace_handle().id().get(), long)
    });
    // tokio counts a task a little longer than until it is joined.
    let is_known = |dump: &tasktrace::Dump| {
        let known = of_runtimes(dump);
        known
            .iter()
            .any(|(task, count)| *task <= first && *count == 3)
    };
    while !is_known(&tasktrace::snapshot()) {
        std::thread::yield_now();
    }
    drop(tasks);
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
