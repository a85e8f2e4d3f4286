//! Tests tasks that were spawned through this crate: their metadata, and that they behave as tokio's tasks in all other
//! respects.

use std::cell::Cell;
use std::future::pending;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use tasktrace::{JoinHandle, JoinSet, TaskBuilder, TaskState, Trace, traced};
use tasktrace_tests::{current_thread, multi_thread, on_each, outline};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

async fn registers_and_waits() {
    oneshot::channel::<()>().1.await.ok();
    pending::<()>().await;
}

#[test]
fn a_spawned_task_has_metadata() {
    on_each(|| async {
        let parent = tasktrace::spawn(async {
            let line = line!() + 1;
            let task = tasktrace::spawn(registers_and_waits());
            let handle = task.trace_handle().clone();
            let spawned_at = handle.spawned_at().unwrap();
            assert_eq!((spawned_at.file(), spawned_at.line()), (file!(), line));
            assert_eq!(handle.parent(), tasktrace::current().map(|task| task.id()));
            assert!(handle.name().ends_with("registers_and_waits"));
            assert_eq!(handle.label(), None);
            task.abort();
        });
        let handle = parent.trace_handle().clone();
        assert_eq!(handle.parent(), None, "spawned outside of any task");
        assert!(tasktrace::tasks().any(|task| task.id() == handle.id()));
        parent.await.unwrap();
        assert_eq!(handle.state(), TaskState::Finished);
    });
}

#[test]
fn each_way_to_spawn_records_its_place() {
    let runtime = current_thread();
    let local = LocalSet::new();
    let _guard = runtime.enter();
    let _local_guard = local.enter();
    let mut set = JoinSet::new();

    let mut lines = vec![line!() + 1];
    let tasks = [
        tasktrace::spawn(async {}),
        tasktrace::spawn_on(async {}, runtime.handle()),
        tasktrace::spawn_local(async {}),
        tasktrace::spawn_local_on(async {}, &local),
        TaskBuilder::new().spawn(async {}),
        TaskBuilder::new().spawn_on(async {}, runtime.handle()),
        TaskBuilder::new().spawn_local(async {}),
        TaskBuilder::new().spawn_local_on(async {}, &local),
    ];
    lines.push(line!() + 1);
    set.spawn(async {});
    set.spawn_on(async {}, runtime.handle());
    set.spawn_local(async {});
    set.spawn_local_on(async {}, &local);
    set.build_task().spawn(async {});
    set.build_task().spawn_on(async {}, runtime.handle());
    set.build_task().spawn_local(async {});
    set.build_task().spawn_local_on(async {}, &local);
    set.extend([std::future::ready(())]);

    let line_of = |handle: &tasktrace::TraceHandle| handle.spawned_at().unwrap().line();
    let found: Vec<u32> = tasks
        .iter()
        .map(|task| line_of(task.trace_handle()))
        .collect();
    let expected: Vec<u32> = (lines[0] + 1..lines[0] + 9).collect();
    assert_eq!(found, expected);
    let found: Vec<u32> = set.trace_handles().map(|handle| line_of(&handle)).collect();
    let expected: Vec<u32> = (lines[1]..lines[1] + 9).collect();
    assert_eq!(found, expected);
}

#[test]
fn spawned_tasks_can_have_names() {
    on_each(|| async {
        let task = TaskBuilder::new().name("one").spawn(pending::<()>());
        assert_eq!(task.trace_handle().label(), Some("one"));
        let other = TaskBuilder::new()
            .name(format!("task {}", 2))
            .spawn(async {});
        assert_eq!(other.trace_handle().label(), Some("task 2"));

        let mut set = JoinSet::new();
        set.build_task().name("in a set").spawn(async {});
        assert_eq!(
            set.trace_handles().next().unwrap().label(),
            Some("in a set")
        );

        let trace = task.trace_handle().backtrace().await.unwrap();
        assert_eq!(trace.frames()[0].label(), Some("one"), "{trace}");
        task.abort();
    });
}

#[traced]
async fn worker() {
    step().await;
}

#[traced]
async fn step() {
    registers_and_waits().await;
}

/// Returns the names of the frames along the first branch, without their paths.
fn names_in(trace: &Trace) -> Vec<String> {
    let outline = outline(trace);
    let lines = outline.lines().map(str::trim_start);
    let names = lines.map(|line| line.rsplit("::").next().unwrap().split(':').next().unwrap());
    names.map(str::to_owned).collect()
}

#[test]
fn a_traced_function_is_the_first_frame_of_its_task() {
    on_each(|| async {
        let task = TaskBuilder::new().name("one").spawn(worker());
        let handle = task.trace_handle();
        for _ in 0..2 {
            let trace = handle.backtrace().await.unwrap();
            let expected = ["worker", "step", "registers_and_waits", "Receiver"];
            assert_eq!(names_in(&trace), expected, "{trace}");
            assert_eq!(trace.frames()[0].label(), Some("one"), "{trace}");

            let snapshot = handle.snapshot();
            assert_eq!(names_in(&snapshot), ["worker", "step"], "{snapshot}");
            assert_eq!(snapshot.frames()[0].label(), Some("one"), "{snapshot}");
        }
        task.abort();
    });
}

#[traced]
async fn calls_no_other() {
    registers_and_waits().await;
}

#[test]
fn a_traced_function_without_callees_is_one_frame() {
    on_each(|| async {
        let task = tasktrace::spawn(calls_no_other());
        task.trace_handle().backtrace().await.unwrap();
        let snapshot = task.trace_handle().snapshot();
        assert_eq!(names_in(&snapshot), ["calls_no_other"], "{snapshot}");
        assert_eq!(
            snapshot.leaves()[0].wait(),
            Some(tasktrace::Wait::Suspended)
        );
        task.abort();
    });
}

#[test]
fn a_traced_function_in_a_block_is_a_frame_below_it() {
    on_each(|| async {
        let task = tasktrace::spawn(async { worker().await });
        let handle = task.trace_handle();
        let trace = handle.backtrace().await.unwrap();
        assert!(
            trace.contains("worker") && trace.contains("step"),
            "{trace}"
        );
        let snapshot = handle.snapshot();
        let expected = [
            "a_traced_function_in_a_block_is_a_frame_below_it",
            "worker",
            "step",
        ];
        assert_eq!(names_in(&snapshot), expected, "{snapshot}");
        task.abort();
    });
}

#[test]
fn a_boxed_traced_function_is_the_first_frame() {
    on_each(|| async {
        let future: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(worker());
        let task = tasktrace::spawn(future);
        let trace = task.trace_handle().backtrace().await.unwrap();
        let expected = ["worker", "step", "registers_and_waits", "Receiver"];
        assert_eq!(names_in(&trace), expected, "{trace}");
        task.abort();
    });
}

#[test]
fn a_handle_returns_the_output_of_its_task() {
    on_each(|| async {
        assert_eq!(tasktrace::spawn(async { 42 }).await.unwrap(), 42);
        let text = tasktrace::spawn(async { Some(Box::new("text".to_owned())) });
        assert_eq!(text.await.unwrap().unwrap().as_str(), "text");
        let failed: JoinHandle<Result<(), String>> = tasktrace::spawn(async { Err("no".into()) });
        assert_eq!(failed.await.unwrap(), Err("no".to_owned()));
    });
}

#[test]
fn an_aborted_task_is_finished() {
    on_each(|| async {
        let task = tasktrace::spawn(registers_and_waits());
        let handle = task.trace_handle().clone();
        handle.backtrace().await.unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(handle.is_finished());
        assert!(handle.backtrace().await.is_none());
    });
}

#[test]
fn a_handle_returns_the_panic_of_its_task() {
    on_each(|| async {
        let task = tasktrace::spawn(async {
            tokio::task::yield_now().await;
            std::panic::resume_unwind(Box::new("on purpose"));
        });
        let handle = task.trace_handle().clone();
        let error = task.await.unwrap_err();
        assert_eq!(error.into_panic().downcast_ref(), Some(&"on purpose"));
        assert_eq!(handle.state(), TaskState::Finished);
    });
}

#[test]
fn a_task_keeps_running_when_its_handle_is_dropped() {
    on_each(|| async {
        let (start, started) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        drop(tasktrace::spawn(async move {
            started.await.unwrap();
            end.send(42).unwrap();
        }));
        start.send(()).unwrap();
        assert_eq!(ended.await.unwrap(), 42);
    });
}

#[test]
fn a_handle_works_like_a_handle_of_tokio() {
    on_each(|| async {
        let mut task = tasktrace::spawn(async { 42 });
        let id = task.id();
        let by_deref: &mut tokio::task::JoinHandle<u32> = &mut task;
        assert_eq!(by_deref.await.unwrap(), 42);
        assert!(task.is_finished());
        assert_eq!(task.abort_handle().id(), id);
        assert!(format!("{task:?}").contains("trace"));

        let inner: tokio::task::JoinHandle<u32> = tasktrace::spawn(async { 7 }).into_inner();
        assert_eq!(inner.await.unwrap(), 7);
    });
}

#[test]
fn a_handle_can_be_awaited_again_after_a_select() {
    on_each(|| async {
        // The handle is awaited in a task, so that it is a frame.
        let (end, ended) = oneshot::channel::<u32>();
        let waiting = tasktrace::spawn(async move {
            let mut task = tasktrace::spawn(async { ended.await.unwrap() });
            tokio::select! {
                biased;
                _ = &mut task => unreachable!("the task ends later"),
                () = std::future::ready(()) => {}
            }
            end.send(42).unwrap();
            task.await.unwrap()
        });
        assert_eq!(waiting.await.unwrap(), 42);
    });
}

#[test]
fn futures_that_are_not_send_can_be_spawned() {
    current_thread().block_on(LocalSet::new().run_until(async {
        let count = Rc::new(Cell::new(0));
        let task = tasktrace::spawn_local({
            let count = Rc::clone(&count);
            async move {
                tokio::task::yield_now().await;
                count.set(1);
                count
            }
        });
        assert_eq!(task.await.unwrap().get(), 1);
    }));
}

#[test]
fn a_task_can_be_spawned_from_outside_of_the_runtime() {
    let runtime = multi_thread();
    let task = tasktrace::spawn_on(async { 42 }, runtime.handle());
    assert_eq!(task.trace_handle().parent(), None);
    assert_eq!(runtime.block_on(task).unwrap(), 42);
}

#[test]
#[should_panic(expected = "there is no reactor running")]
fn a_spawn_without_a_runtime_panics() {
    drop(tasktrace::spawn(async {}));
}

#[test]
fn a_failed_spawn_leaves_no_task_behind() {
    let spawned = std::panic::catch_unwind(|| {
        TaskBuilder::new()
            .name("never spawned")
            .spawn_local(async {})
    });
    assert!(spawned.is_err(), "there is no `LocalSet`");
    assert!(!tasktrace::tasks().any(|task| task.label() == Some("never spawned")));
}

#[test]
fn a_set_returns_the_outputs_of_its_tasks() {
    on_each(|| async {
        let mut set: JoinSet<u32> = JoinSet::default();
        assert!(set.is_empty() && set.join_next().await.is_none());
        assert!(set.try_join_next().is_none());

        let ids: Vec<_> = (0..3).map(|n| set.spawn(async move { n }).id()).collect();
        assert_eq!((set.len(), set.trace_handles().count()), (3, 3));
        let mut joined = Vec::new();
        while let Some(result) = set.join_next_with_id().await {
            joined.push(result.unwrap());
        }
        joined.sort_by_key(|(_, output)| *output);
        assert_eq!(joined, ids.into_iter().zip(0..).collect::<Vec<_>>());
        assert_eq!(set.trace_handles().count(), 0);

        set.spawn_blocking(|| 42);
        assert_eq!(set.join_next().await.unwrap().unwrap(), 42);
        assert_eq!(format!("{set:?}"), "JoinSet { len: 0 }");
    });
}

#[test]
fn a_set_lists_its_tasks_in_the_order_of_their_spawns() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut set = JoinSet::new();
    let mut spawn = |number: u32| {
        let builder = set.build_task().name(number.to_string());
        builder.spawn_on(pending::<()>(), runtime.handle());
    };
    // The numbers of these tasks are not in this order, because several threads have created them.
    spawn(1);
    std::thread::scope(|threads| threads.spawn(|| spawn(2)).join().unwrap());
    spawn(3);
    let names: Vec<_> = set
        .trace_handles()
        .map(|task| task.label().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["1", "2", "3"]);
}

#[test]
fn a_set_returns_cancellations_and_panics() {
    on_each(|| async {
        let mut set = JoinSet::new();
        set.spawn(pending::<()>());
        set.abort_all();
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());

        set.spawn(async { std::panic::resume_unwind(Box::new("on purpose")) });
        assert!(set.join_next().await.unwrap().unwrap_err().is_panic());
        assert_eq!(set.trace_handles().count(), 0);

        set.spawn(pending());
        set.shutdown().await;
        assert!(set.is_empty() && set.trace_handles().next().is_none());

        set.spawn(async { std::panic::resume_unwind(Box::new("on purpose")) });
        let panicked = tasktrace::spawn(set.join_all()).await.unwrap_err();
        assert_eq!(panicked.into_panic().downcast_ref(), Some(&"on purpose"));
    });
}

#[test]
fn a_set_aborts_its_tasks_when_it_is_dropped_unless_they_are_detached() {
    on_each(|| async {
        let mut set = JoinSet::new();
        set.spawn(registers_and_waits());
        let aborted = set.trace_handles().next().unwrap();
        drop(set);
        // A worker may be in the middle of the last poll of the task.
        while aborted.backtrace().await.is_some() {}

        let mut set = JoinSet::new();
        let task = set.spawn(registers_and_waits());
        let detached = set.trace_handles().next().unwrap();
        set.detach_all();
        assert!(set.is_empty() && set.trace_handles().next().is_none());
        drop(set);
        assert!(detached.backtrace().await.is_some());
        task.abort();
    });
}

/// The auto traits of a type are part of its interface.
#[test]
fn handles_and_sets_have_the_auto_traits_of_tokio() {
    fn is_for_threads<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
    fn is_unpin<T: Unpin>() {}
    fn is_send<T: Send>(_: &T) {}

    is_for_threads::<JoinHandle<u32>>();
    is_for_threads::<TaskBuilder>();
    is_unpin::<JoinHandle<Rc<u32>>>();
    is_unpin::<JoinSet<Rc<u32>>>();
    let mut set = JoinSet::<u32>::new();
    is_send(&set);
    is_send(&set.join_next());
    is_send(&set.join_next_with_id());
    is_send(&set.shutdown());
    is_send(&set.join_all());
}

/// If a task is known only by the place of its spawn or by its type, the label comes first. The name of a function
/// comes before the label.
#[test]
fn the_label_comes_first_if_the_name_is_no_function() {
    on_each(|| async {
        let boxed: futures::future::BoxFuture<'static, ()> = Box::pin(pending());
        let builder = |label| TaskBuilder::new().name(label);
        let tasks = [
            builder("shard 7").spawn(boxed),
            builder("ann").spawn(registers_and_waits()),
        ];
        let typed = builder("for ever").spawn(pending::<std::convert::Infallible>());
        for task in &tasks {
            while task.trace_handle().state() == TaskState::NeverPolled {
                tokio::task::yield_now().await;
            }
        }
        let text = tasktrace::snapshot().to_string();
        let id = tasks[0].trace_handle().id();
        let start = format!("task {id} \"shard 7\" (spawned at tests/tests/spawn.rs:");
        assert!(text.contains(&start), "{text}");
        let id = tasks[1].trace_handle().id();
        let start = format!("task {id} spawn::registers_and_waits \"ann\", ");
        assert!(text.contains(&start), "{text}");
        let id = typed.trace_handle().id();
        let start = format!("task {id} \"for ever\" core::future::");
        assert!(text.contains(&start), "{text}");
        tasks.iter().for_each(|task| task.abort());
        typed.abort();
    });
}
