//! Tests the count of tasks of a runtime that are not traced.

use std::future::pending;
use std::time::Duration;

use tasktrace::traced;
use tasktrace_tests::{current_thread, multi_thread};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};

/// Each task sends a message in its first poll.
type Polled = mpsc::UnboundedSender<()>;

async fn plain(polled: Polled) {
    polled.send(()).unwrap();
    pending::<()>().await;
}

#[traced]
async fn attributed(polled: Polled) {
    plain(polled).await;
}

/// Several traced tasks in one task of tokio.
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

/// Spawns tasks of all kinds, three of them untraced, and waits until all of them have been polled.
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
fn three_of_many_kinds_of_tasks_are_untraced() {
    for runtime in [current_thread(), multi_thread()] {
        runtime.block_on(async {
            assert_eq!(untraced(), Some(0));
            let mut tasks = three_untraced().await;
            assert_eq!(untraced(), Some(3));
            assert_eq!(tasktrace::dump().await.untraced(), Some(3));
            tasks.shutdown().await;
            // tokio counts a task for a short time after it was joined.
            while untraced() != Some(0) {
                tokio::task::yield_now().await;
            }
        });
    }
}

#[test]
fn a_traced_task_that_was_never_polled_is_not_untraced() {
    current_thread().block_on(async {
        let mut set = tasktrace::JoinSet::new();
        set.spawn(pending::<()>());
        let task = tasktrace::spawn(pending::<()>());
        assert_eq!(untraced(), Some(0));
        drop((set, task));
    });
}

#[test]
fn there_is_no_count_outside_of_a_runtime() {
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

/// Returns the counts, each with the task that stands for its runtime.
fn counts_by_runtime(dump: &tasktrace::Dump) -> Vec<(u64, usize)> {
    let untraced = dump.untraced_by_runtime().iter();
    untraced
        .map(|it| (it.runtime_of().unwrap().get(), it.count()))
        .collect()
}

/// Returns the counts for the runtime of this test, without those for runtimes of other tests.
fn count_of_runtime(dump: &tasktrace::Dump, first: u64) -> Option<usize> {
    let all = counts_by_runtime(dump);
    let mine = all.iter().find(|(task, _)| *task == first);
    mine.map(|(_, count)| *count)
}

#[test]
fn a_dump_on_a_plain_thread_counts_tasks_of_all_runtimes() {
    let budget = Duration::from_secs(2);
    for runtime in [current_thread(), multi_thread()] {
        runtime.block_on(async {
            let (body, handle) = tasktrace::traced(async {
                let _tasks = three_untraced().await;
                let first = tasktrace::current().unwrap().id().get();
                let dumps = std::thread::spawn(move || {
                    (tasktrace::snapshot(), tasktrace::dump_blocking(budget))
                });
                let dumps = tokio::task::spawn_blocking(|| dumps.join().unwrap());
                let (snapshot, dump) = dumps.await.unwrap();
                for dump in [snapshot, dump, tasktrace::dump().await] {
                    // The task of `spawn_blocking` is counted, and has ended before the last dump.
                    let count = count_of_runtime(&dump, first).unwrap();
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

/// A handle of this runtime that is kept outside of the runtime would also keep the values that the runtime has
/// captured.
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
            // The handle outlives the runtime, but does not keep it alive.
            let handle = runtime.block_on(async {
                let (polled, mut all_polled) = mpsc::unbounded_channel();
                let first = tasktrace::spawn(attributed(polled.clone()));
                let rest: Vec<_> = (0..5)
                    .map(|_| tasktrace::spawn(attributed(polled.clone())))
                    .collect();
                for _ in 0..6 {
                    all_polled.recv().await.unwrap();
                }
                // The task that stands for the runtime most likely ends before the others.
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
fn another_task_stands_for_the_runtime_when_the_first_has_ended() {
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
        // All traced tasks except one end, in the order in which they became known.
        tasks.detach_all();
        for task in short {
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        (long.trace_handle().id().get(), long)
    });
    // tokio counts a task for a short time after it was joined.
    let is_known = |dump: &tasktrace::Dump| {
        let known = counts_by_runtime(dump);
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
fn the_count_is_of_the_current_runtime() {
    let (one, other) = (multi_thread(), current_thread());
    let _tasks = one.block_on(three_untraced());
    other.block_on(async {
        assert_eq!(untraced(), Some(0));
        tokio::spawn(pending::<()>());
        // The task belongs to the runtime `one`, although it is spawned from `other`.
        drop(tasktrace::spawn_on(pending::<()>(), one.handle()));
        assert_eq!(untraced(), Some(1));
    });
    assert_eq!(one.block_on(async { untraced() }), Some(3));
}

#[test]
fn block_on_and_local_tasks_do_not_reduce_the_count() {
    // `block_on` and a `LocalSet` do not reduce the count of untraced tasks.
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
fn the_count_is_right_while_tasks_start_and_end() {
    const ROUNDS: usize = 200;

    multi_thread().block_on(async {
        let mut tasks = three_untraced().await;
        let coming_and_going = tokio::spawn(async {
            for _ in 0..ROUNDS {
                tasktrace::spawn(tokio::task::yield_now()).await.unwrap();
            }
        });
        while !coming_and_going.is_finished() {
            // The task that spawns the others is itself untraced. Few of the others start or end between one count and
            // the other.
            let untraced = untraced().unwrap();
            assert!((1..=8).contains(&untraced), "{untraced}");
            tokio::task::yield_now().await;
        }
        tasks.shutdown().await;
    });
}
