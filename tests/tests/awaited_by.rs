//! Tests which tasks a task awaits, in snapshots, dumps and traces.

use std::future::{pending, poll_fn};
use std::task::Poll;

use tasktrace::{Dump, Frame, JoinHandle, JoinSet, TaskId, Trace, TraceHandle, Wait, traced};
use tasktrace_tests::{current_thread, on_each};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

async fn wait_for_ever() {
    oneshot::channel::<()>().1.await.ok();
    pending::<()>().await;
}

/// Returns the tasks that `task` awaits, according to a snapshot.
fn awaits(task: &TraceHandle) -> Vec<TaskId> {
    awaits_in(&tasktrace::snapshot(), task)
}

fn awaits_in(dump: &Dump, task: &TraceHandle) -> Vec<TaskId> {
    let mut tasks = dump.tasks();
    let task = tasks.find(|dumped| dumped.id() == task.id());
    task.expect("the task is alive").awaits().to_vec()
}

/// Returns the frame with this name, of which there must be one.
fn find<'a>(trace: &'a Trace, name: &str) -> &'a Frame {
    let found = find_all(trace, name);
    let [frame] = found[..] else {
        panic!("{} frames with the name {name} in\n{trace}", found.len());
    };
    frame
}

fn find_all<'a>(trace: &'a Trace, name: &str) -> Vec<&'a Frame> {
    let mut found = Vec::new();
    let mut pending: Vec<&Frame> = trace.frames().iter().collect();
    while let Some(frame) = pending.pop() {
        found.extend((frame.name() == name).then_some(frame));
        pending.extend(frame.children());
    }
    found
}

/// Captures the task, and returns when it is suspended.
async fn capture_suspended(task: &TraceHandle) -> Trace {
    task.backtrace().await.expect("the task is alive")
}

#[test]
fn an_awaited_handle_is_a_frame() {
    on_each(|| async {
        let line = line!() + 1;
        let awaited = tasktrace::spawn(wait_for_ever());
        let (id, abort) = (awaited.trace_handle().id(), awaited.abort_handle());
        let waiting = tasktrace::spawn(async move { awaited.await.unwrap_err() });
        let handle = waiting.trace_handle();
        let captured = capture_suspended(handle).await;

        assert_eq!(awaits(handle), [id]);
        assert_eq!(awaits_in(&tasktrace::dump().await, handle), [id]);
        for trace in [captured, handle.snapshot()] {
            let frame = find(&trace, "tasktrace::JoinHandle");
            let place = (frame.file(), frame.line());
            assert_eq!(
                place,
                (Some("tests/tests/awaited_by.rs"), Some(line)),
                "{trace}"
            );
            let label = format!("task {id} awaited_by::wait_for_ever");
            assert_eq!(frame.label(), Some(&*label), "{trace}");
            assert!(frame.children().is_empty(), "{trace}");
            assert_eq!(trace.leaves().len(), 1, "{trace}");
        }
        abort.abort();
        assert!(waiting.await.unwrap().is_cancelled());
    });
}

#[test]
fn an_awaited_handle_shows_the_name_of_its_task() {
    on_each(|| async {
        let awaited = tasktrace::TaskBuilder::new()
            .name("crawler")
            .spawn(wait_for_ever());
        let (id, abort) = (awaited.trace_handle().id(), awaited.abort_handle());
        let waiting = tasktrace::spawn(awaited);
        let trace = capture_suspended(waiting.trace_handle()).await;
        let label = format!("task {id} crawler");
        assert_eq!(find(&trace, "tasktrace::JoinHandle").label(), Some(&*label));
        abort.abort();
    });
}

#[test]
fn a_finished_task_is_no_longer_awaited() {
    on_each(|| async {
        let waiting = tasktrace::spawn(async {
            tasktrace::spawn(tokio::task::yield_now()).await.unwrap();
            wait_for_ever().await;
        });
        let handle = waiting.trace_handle();
        // A task is finished before the tasks that await it are woken.
        while !capture_suspended(handle).await.contains("wait_for_ever") {}
        assert_eq!(awaits(handle), []);
        waiting.abort();
    });
}

#[test]
fn a_handle_can_be_awaited_outside_of_tasks() {
    on_each(|| async {
        assert_eq!(tasktrace::spawn(async { 42 }).await.unwrap(), 42);
    });
}

#[traced]
async fn first() {
    tasktrace::spawn(second()).await.unwrap();
}

#[traced]
async fn second() {
    tasktrace::spawn(third()).await.unwrap();
}

#[traced]
async fn third() {
    wait_for_ever().await;
}

#[test]
fn a_dump_shows_a_chain_of_awaits() {
    on_each(|| async {
        let first = tasktrace::spawn(first());
        let mut chain = vec![first.trace_handle().clone()];
        while let Some(handle) = chain.last() {
            capture_suspended(handle).await;
            let next = awaits(handle);
            chain.extend(tasktrace::tasks().filter(|task| next.contains(&task.id())));
            if next.is_empty() {
                break;
            }
        }
        let names: Vec<&str> = chain.iter().map(TraceHandle::name).collect();
        assert_eq!(
            names,
            [
                "awaited_by::first",
                "awaited_by::second",
                "awaited_by::third"
            ]
        );
        let parents: Vec<_> = chain.iter().map(TraceHandle::parent).collect();
        assert_eq!(parents, [None, Some(chain[0].id()), Some(chain[1].id())]);
        first.abort();
    });
}

#[test]
fn a_dump_shows_a_cycle_of_awaits() {
    on_each(|| async {
        let (give_one, one) = oneshot::channel::<JoinHandle<()>>();
        let (give_other, other) = oneshot::channel::<JoinHandle<()>>();
        let first = tasktrace::spawn(async move {
            other.await.unwrap().await.unwrap_err();
        });
        let second = tasktrace::spawn(async move {
            one.await.unwrap().await.unwrap_err();
        });
        let handles = [first.trace_handle().clone(), second.trace_handle().clone()];
        let abort = first.abort_handle();
        give_one.send(first).unwrap();
        give_other.send(second).unwrap();
        for handle in &handles {
            while find_all(&capture_suspended(handle).await, "tasktrace::JoinHandle").is_empty() {}
        }
        assert_eq!(awaits(&handles[0]), [handles[1].id()]);
        assert_eq!(awaits(&handles[1]), [handles[0].id()]);
        abort.abort();
    });
}

#[test]
fn a_handle_can_move_to_another_task() {
    on_each(|| async {
        let awaited = tasktrace::spawn(wait_for_ever());
        let (id, abort) = (awaited.trace_handle().id(), awaited.abort_handle());
        let (sender, receiver) = oneshot::channel();
        let (go_on, may_go_on) = oneshot::channel::<()>();
        let first = tasktrace::spawn(async move {
            let mut awaited = awaited;
            tokio::select! {
                _ = &mut awaited => unreachable!("the task waits for ever"),
                _ = may_go_on => {}
            }
            sender.send(awaited).ok();
            wait_for_ever().await;
        });
        let second = tasktrace::spawn(async move { receiver.await.unwrap().await.unwrap_err() });
        capture_suspended(first.trace_handle()).await;
        capture_suspended(second.trace_handle()).await;
        assert_eq!(awaits(first.trace_handle()), [id]);
        assert_eq!(awaits(second.trace_handle()), []);

        go_on.send(()).unwrap();
        while !capture_suspended(first.trace_handle())
            .await
            .contains("wait_for_ever")
        {}
        while awaits(second.trace_handle()).is_empty() {
            capture_suspended(second.trace_handle()).await;
        }
        assert_eq!(awaits(first.trace_handle()), []);
        assert_eq!(awaits(second.trace_handle()), [id]);
        abort.abort();
        second.await.unwrap();
        first.abort();
    });
}

#[test]
fn a_handle_that_is_kept_but_not_awaited_is_no_frame() {
    on_each(|| async {
        let waiting = tasktrace::spawn(async {
            let mut task = tasktrace::spawn(wait_for_ever());
            let mut set = JoinSet::new();
            set.spawn(wait_for_ever());
            let mut next = Box::pin(set.join_next());
            tokio::select! {
                biased;
                _ = &mut task => unreachable!("the task waits for ever"),
                _ = &mut next => unreachable!("the set waits for ever"),
                () = std::future::ready(()) => {}
            }
            wait_for_ever().await;
            drop(next);
            task.abort();
        });
        // The first poll polls all three branches.
        capture_suspended(waiting.trace_handle()).await;
        let trace = capture_suspended(waiting.trace_handle()).await;
        assert_eq!(awaits(waiting.trace_handle()), []);
        for trace in [trace, waiting.trace_handle().snapshot()] {
            assert_eq!(trace.leaves().len(), 1, "{trace}");
            assert_ne!(trace.leaves()[0].wait(), Some(Wait::NotPolled), "{trace}");
        }
        waiting.abort();
    });
}

#[test]
fn many_handles_can_be_awaited_at_once() {
    on_each(|| async {
        // `join_all` gives more than 30 futures wakers of their own.
        let tasks: Vec<_> = (0..40).map(|_| tasktrace::spawn(wait_for_ever())).collect();
        let ids: Vec<TaskId> = tasks.iter().map(|task| task.trace_handle().id()).collect();
        let aborts: Vec<_> = tasks.iter().map(|task| task.abort_handle()).collect();
        let waiting = tasktrace::spawn(futures::future::join_all(tasks));
        for _ in 0..2 {
            let trace = capture_suspended(waiting.trace_handle()).await;
            assert_eq!(
                find_all(&trace, "tasktrace::JoinHandle").len(),
                40,
                "{trace}"
            );
            assert_eq!(trace.leaves().len(), 40, "{trace}");
        }
        assert_eq!(awaits(waiting.trace_handle()), ids);
        aborts.iter().for_each(tokio::task::AbortHandle::abort);
        assert_eq!(waiting.await.unwrap().len(), 40);
    });
}

#[test]
fn an_awaited_set_is_one_frame_with_its_tasks() {
    on_each(|| async {
        let (end, ended) = oneshot::channel::<()>();
        let (give_ids, ids) = oneshot::channel();
        let waiting = tasktrace::spawn(async move {
            let mut set = JoinSet::new();
            set.spawn(async { ended.await.unwrap() });
            set.spawn(wait_for_ever());
            set.spawn(wait_for_ever());
            let ids: Vec<TaskId> = set.trace_handles().map(|task| task.id()).collect();
            give_ids.send(ids).unwrap();
            while set.join_next().await.is_some() {}
        });
        let ids = ids.await.unwrap();
        let handle = waiting.trace_handle();
        let captured = capture_suspended(handle).await;
        assert_eq!(awaits(handle), ids);
        let label = format!("tasks {}, {}, {}", ids[0], ids[1], ids[2]);
        for trace in [&captured, &handle.snapshot()] {
            let frame = find(trace, "tasktrace::JoinSet::join_next");
            assert_eq!(frame.label(), Some(&*label), "{trace}");
            // The frame replaces the frames of tokio's own wait.
            assert!(
                !trace.contains("tokio::task::JoinSet::join_next"),
                "{trace}"
            );
        }

        end.send(()).unwrap();
        while awaits(handle) != ids[1..] {
            capture_suspended(handle).await;
        }
        let trace = capture_suspended(handle).await;
        let frame = find(&trace, "tasktrace::JoinSet::join_next");
        assert_eq!(
            frame.label(),
            Some(&*format!("tasks {}, {}", ids[1], ids[2])),
            "{trace}"
        );
        // The earlier capture is not changed.
        let frame = find(&captured, "tasktrace::JoinSet::join_next");
        assert_eq!(frame.label(), Some(&*label), "{captured}");
        waiting.abort();
    });
}

#[test]
fn a_set_that_is_no_longer_awaited_is_no_frame() {
    on_each(|| async {
        let waiting = tasktrace::spawn(async {
            let mut set = JoinSet::new();
            set.spawn(wait_for_ever());
            tokio::select! {
                biased;
                _ = set.join_next() => unreachable!("the task waits for ever"),
                () = tokio::task::yield_now() => {}
            }
            wait_for_ever().await;
            drop(set);
        });
        let handle = waiting.trace_handle();
        while !capture_suspended(handle).await.contains("wait_for_ever") {}
        assert_eq!(awaits(handle), []);
        let snapshot = handle.snapshot();
        assert_eq!(
            find_all(&snapshot, "tasktrace::JoinSet::join_next").len(),
            0,
            "{snapshot}"
        );
        waiting.abort();
    });
}

#[test]
fn a_large_set_is_one_short_frame() {
    const MANY: usize = 10_000;

    on_each(|| async {
        let set: JoinSet<()> = (0..MANY).map(|_| wait_for_ever()).collect();
        let waiting = tasktrace::spawn(set.join_all());
        let trace = capture_suspended(waiting.trace_handle()).await;
        let frame = find(&trace, "tasktrace::JoinSet::join_next");
        assert!(frame.label().unwrap().ends_with("and 9997 more"), "{trace}");
        assert_eq!(awaits(waiting.trace_handle()).len(), MANY);
        waiting.abort();
    });
}

#[test]
fn tasks_of_a_local_set_can_be_awaited() {
    current_thread().block_on(LocalSet::new().run_until(async {
        let waiting = tasktrace::spawn_local(async {
            let local = LocalSet::new();
            tasktrace::spawn_local_on(third(), &local);
            tasktrace::spawn_local_on(third(), &local);
            local.await;
        });
        let handle = waiting.trace_handle();
        let trace = capture_suspended(handle).await;
        // Both tasks wait at the same place.
        find(&trace, "awaited_by::third");
        let leaves: Vec<_> = trace.leaves().iter().map(|leaf| leaf.count()).collect();
        assert_eq!(leaves, [2], "{trace}");
        let snapshot = handle.snapshot();
        assert_eq!(
            find_all(&snapshot, "awaited_by::third").len(),
            2,
            "{snapshot}"
        );
        let awaits = awaits(handle);
        let named: Vec<_> = tasktrace::tasks()
            .filter(|task| awaits.contains(&task.id()))
            .map(|task| (task.name().to_owned(), task.parent()))
            .collect();
        let expected = ("awaited_by::third".to_owned(), Some(handle.id()));
        assert_eq!(named, [expected.clone(), expected]);
        waiting.abort();
    }));
}

#[test]
fn handles_and_sets_can_be_polled_by_hand() {
    on_each(|| async {
        let waiting = tasktrace::spawn(async {
            let mut set = JoinSet::new();
            set.spawn(async { 42 });
            let joined = poll_fn(|cx| set.poll_join_next(cx)).await;
            assert_eq!(joined.unwrap().unwrap(), 42);
            let mut task = tasktrace::spawn(wait_for_ever());
            poll_fn(|cx| {
                assert!(std::pin::Pin::new(&mut task).poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            wait_for_ever().await;
            drop(task);
        });
        capture_suspended(waiting.trace_handle()).await;
        waiting.abort();
    });
}

/// A trace shows the leaves of the awaited tasks, also when other threads poll those tasks.
#[test]
fn a_trace_shows_the_leaves_of_awaited_tasks() {
    on_each(|| async {
        let gathers = tasktrace::spawn(async {
            let mut set = JoinSet::new();
            for _ in 0..3 {
                set.spawn(member());
            }
            set.join_next().await;
        });
        let handle = gathers.trace_handle().clone();
        while awaits(&handle).len() < 3 {
            tokio::task::yield_now().await;
        }
        let trace = handle.backtrace().await.unwrap();
        let members = find(&trace, "awaited_by::member");
        let [waits] = members.children() else {
            panic!("{trace}");
        };
        assert_eq!(waits.count(), 3, "{trace}");
        assert!(trace.contains("oneshot::Receiver"), "{trace}");
        assert!(format!("{trace:#}").contains("oneshot"), "{trace:#}");
        gathers.abort();
    });
}

#[traced]
async fn member() {
    let (_sender, receiver) = oneshot::channel::<()>();
    receiver.await.ok();
}
