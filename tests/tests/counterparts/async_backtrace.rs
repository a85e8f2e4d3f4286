//! Contains counterparts of the documentation, examples and tests of async-backtrace 0.2.7.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use tasktrace::{TaskState, Trace, TracedExt, current, snapshot, traced};
use tokio::sync::oneshot;

use crate::support::{DrivenTask, frames, outline, poll, wait_for_ever};
use crate::{outlines, suspended, tasks_of};

/// The README, and `examples/taskdump.rs`: one task takes a dump of all tasks.
mod taskdump {
    use super::*;

    #[traced]
    async fn idle() {
        wait_for_ever().await;
    }

    #[traced]
    async fn serve() -> Vec<String> {
        handle().await
    }

    #[traced]
    async fn handle() -> Vec<String> {
        let (done, told) = oneshot::channel();
        futures::join!(flush(told), report(done)).1
    }

    #[traced]
    async fn flush(told: oneshot::Receiver<()>) {
        told.await.unwrap();
    }

    #[traced]
    async fn report(done: oneshot::Sender<()>) -> Vec<String> {
        let dump = tasktrace::dump().await;
        done.send(()).unwrap();
        outlines(&dump, module_path!())
    }

    #[tokio::test]
    async fn a_dump_shows_the_tree_of_each_task() {
        let idle = tokio::spawn(idle());
        tokio::task::yield_now().await;
        let trees = serve().await;
        idle.abort();
        // In a capture, resources have frames of their own, which async-backtrace does not show.
        let [first, second] = &trees[..] else {
            panic!("{trees:?}");
        };
        assert!(first.starts_with("idle"), "{first}");
        assert!(second.starts_with("serve(handle("), "{second}");
        let (flush, report) = (second.find("flush("), second.find("report"));
        assert!(flush.is_some() && flush < report, "{second}");
    }
}

/// `frame!(…)` and `location!().frame(…)`: a block that is a frame, or a task.
mod a_block {
    use super::*;

    #[traced]
    async fn step() {
        wait_for_ever().await;
    }

    #[test]
    fn a_labelled_block_is_a_frame_inside_a_task_and_a_task_outside() {
        let block = || async { step().await }.traced("a block");
        let mut task = DrivenTask::new(async { block().await });
        task.suspend();
        assert!(task.snapshot().ends_with("(a block(step))"));

        let mut block = Box::pin(block());
        assert!(poll(block.as_mut()).is_pending());
        let trees = outlines(&snapshot(), module_path!());
        assert!(trees.contains(&"a block(step)".to_owned()), "{trees:?}");
    }
}

/// `location!()`, and the fields of a `Location`.
mod location {
    use super::*;

    const LINE: u32 = line!() + 1;
    #[traced]
    async fn here() {
        wait_for_ever().await;
    }

    #[test]
    fn a_frame_has_file_line_and_column() {
        let mut task = DrivenTask::new(here());
        task.suspend();
        let trace = task.handle.snapshot();
        let frames = frames(&trace);
        let here = frames.iter().find(|frame| frame.name().ends_with("here"));
        let here = here.expect("it is suspended");
        assert!(here.name().ends_with("location::here"));
        assert_eq!(here.file(), Some(file!()));
        // The line is that of the attribute or of the function below it.
        assert!((LINE..=LINE + 1).contains(&here.line().unwrap()));
        assert!(here.column().is_some());
    }

    #[test]
    fn a_task_knows_where_it_was_spawned() {
        let line = line!() + 1;
        let (_future, handle) = tasktrace::traced(here());
        assert_eq!(handle.spawned_at().unwrap().line(), line);
    }
}

/// `backtrace()`: the call path from the task to the caller.
mod backtrace {
    use super::*;

    #[traced]
    async fn outer() -> Trace {
        middle().await
    }

    #[traced]
    async fn middle() -> Trace {
        inner().await
    }

    #[traced]
    async fn inner() -> Trace {
        Trace::here().expect("called in a task")
    }

    #[test]
    fn trace_here_ends_at_the_caller() {
        assert!(Trace::here().is_none());
        let trace = futures::executor::block_on(outer());
        assert_eq!(outline(&trace), "outer(middle(inner))");
    }
}

/// `examples/join.rs` and `examples/select.rs`: branches make a tree.
mod branches {
    use super::*;

    #[traced]
    async fn joining() {
        futures::join!(one(), other());
    }

    #[traced]
    async fn selecting() {
        tokio::select! {
            biased;
            () = one() => {}
            () = other() => {}
        }
    }

    #[traced]
    async fn one() {
        wait_for_ever().await;
    }

    #[traced]
    async fn other() {
        wait_for_ever().await;
    }

    #[test]
    fn branches_of_join_are_siblings() {
        let mut task = DrivenTask::new(joining());
        task.suspend();
        assert!(task.snapshot().ends_with("joining(one other)"));
        // A capture also shows the resources that the branches wait for.
        assert!(outline(&task.capture()).contains("joining(one("));
    }

    #[test]
    fn branches_of_select_are_siblings() {
        let mut task = DrivenTask::new(selecting());
        task.suspend();
        assert!(task.snapshot().ends_with("selecting(one other)"));
    }
}

/// `examples/missing.rs`: a function without the attribute.
mod missing {
    use super::*;

    #[traced]
    async fn outer() {
        bare().await;
    }

    async fn bare() {
        inner().await;
    }

    #[traced]
    async fn inner() {
        wait_for_ever().await;
    }

    #[test]
    fn a_function_without_the_attribute_is_in_captures_only() {
        let mut task = DrivenTask::new(outer());
        task.suspend();
        assert!(task.snapshot().ends_with("outer(inner)"));
        let trace = task.capture();
        assert!(trace.contains("missing::bare"), "{trace}");
    }
}

/// `examples/malformed.rs`: the children of a root without the attribute are tasks of their own.
mod malformed {
    use super::*;

    async fn selecting() {
        tokio::select! {
            biased;
            () = one() => {}
            () = other() => {}
        }
    }

    #[traced]
    async fn one() {
        wait_for_ever().await;
    }

    #[traced]
    async fn other() {
        wait_for_ever().await;
    }

    #[test]
    fn children_of_an_untraced_root_are_tasks() {
        let mut bare = Box::pin(selecting());
        assert!(poll(bare.as_mut()).is_pending());
        assert_eq!(outlines(&snapshot(), module_path!()), ["one", "other"]);
        drop(bare);

        let mut task = DrivenTask::new(selecting());
        task.suspend();
        assert_eq!(
            outlines(&snapshot(), module_path!()),
            ["selecting(one other)"]
        );
    }
}

/// `examples/multiple.rs`: several tasks that are at the same place.
mod multiple {
    use super::*;

    #[traced]
    async fn outer() {
        inner().await;
    }

    #[traced]
    async fn inner() {
        wait_for_ever().await;
    }

    #[tokio::test]
    async fn equal_tasks_are_listed_separately_and_printed_together() {
        let tasks = [tasktrace::spawn(outer()), tasktrace::spawn(outer())];
        for task in &tasks {
            suspended(task.trace_handle()).await;
        }
        let dump = snapshot();
        assert_eq!(
            outlines(&dump, module_path!()),
            ["outer(inner)", "outer(inner)"]
        );
        let text = dump.to_string();
        assert!(text.contains("2 tasks "), "{text}");
        for task in tasks {
            task.abort();
        }
    }
}

/// `tests/consolidate.rs`: equal branches.
mod consolidate {
    use super::*;

    #[traced]
    async fn selecting() {
        tokio::select! {
            biased;
            () = outer() => {}
            () = outer() => {}
            () = other() => {}
        }
    }

    #[traced]
    async fn outer() {
        inner().await;
    }

    #[traced]
    async fn inner() {
        wait_for_ever().await;
    }

    #[traced]
    async fn other() {
        wait_for_ever().await;
    }

    #[test]
    fn equal_branches_are_printed_once() {
        let mut task = DrivenTask::new(selecting());
        task.suspend();
        assert!(
            task.snapshot().ends_with("selecting(outer(inner×2) other)"),
            "{}",
            task.snapshot()
        );
        let text = task.handle.snapshot().to_string();
        assert_eq!(text.matches("consolidate::inner").count(), 1, "{text}");
    }
}

/// `tests/contention.rs`: a task and a thread take snapshots at the same time.
mod contention {
    use super::*;

    #[traced]
    async fn work() {
        let _own = snapshot();
        inner().await;
    }

    #[traced]
    async fn inner() {
        let _own = snapshot();
        tokio::task::yield_now().await;
        let _own = Trace::here();
    }

    #[test]
    fn concurrent_snapshots_show_consistent_trees() {
        let requester = std::thread::spawn(|| {
            for _ in 0..1000 {
                for tree in outlines(&snapshot(), module_path!()) {
                    // The snapshot says so if the task was preempted in the middle of a change.
                    let unread = "work((its frames kept changing: try again))";
                    assert!(["work", "work(inner)", unread].contains(&&*tree), "{tree}");
                }
            }
        });
        for _ in 0..1000 {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.unwrap().block_on(work());
        }
        requester.join().unwrap();
    }
}

/// `tests/deadlockless.rs`: a thread takes a snapshot of a task that waits for that thread.
mod deadlockless {
    use super::*;

    #[traced]
    async fn outer() {
        check_from_a_thread();
        inner().await;
    }

    #[traced]
    async fn inner() {
        // Only its own thread sees a frame that has not been suspended yet.
        check_from_a_thread();
        let here = Trace::here().unwrap();
        assert_eq!(outline(&here), "outer(inner)");
    }

    fn check_from_a_thread() {
        let seen = std::thread::spawn(|| {
            let dump = snapshot();
            let [task] = tasks_of(&dump, module_path!())[..] else {
                panic!("{dump}");
            };
            assert!(matches!(task.state(), TaskState::Running(_)), "{dump}");
            assert_eq!(outline(task.trace()), "outer");
        });
        seen.join().unwrap();
    }

    #[test]
    fn a_snapshot_does_not_wait_for_a_running_task() {
        futures::executor::block_on(outer());
    }
}

/// `tests/poll-in-drop.rs`: a `drop` polls a future to its end.
mod poll_in_drop {
    use super::*;

    struct OnDrop(Arc<Mutex<String>>);

    impl Drop for OnDrop {
        fn drop(&mut self) {
            let Poll::Ready(trace) = poll(Box::pin(inner()).as_mut()) else {
                panic!("it does not wait");
            };
            *self.0.lock().unwrap() = trace;
        }
    }

    #[traced]
    async fn outer(on_drop: OnDrop) {
        drop(on_drop);
    }

    #[traced]
    async fn inner() -> String {
        outline(&Trace::here().unwrap())
    }

    #[test]
    fn a_future_polled_in_a_drop_is_a_frame_of_the_dropping_task() {
        let seen = Arc::new(Mutex::new(String::new()));
        futures::executor::block_on(outer(OnDrop(seen.clone())));
        let seen = seen.lock().unwrap();
        assert!(
            seen.starts_with("outer(") && seen.contains("inner"),
            "{seen}"
        );
    }
}

/// `tests/reentrant.rs`: a task requests its own trace in the middle of a poll.
mod reentrant {
    use super::*;

    #[traced]
    async fn outer() {
        is_running("outer", "outer(is_running)");
        inner().await;
    }

    #[traced]
    async fn inner() {
        is_running("outer(inner)", "outer(inner(is_running))");
    }

    fn is_running(frames: &str, here: &str) {
        // A snapshot of all tasks contains this task.
        let dump = snapshot();
        let me = dump.get(current().unwrap().id()).unwrap();
        assert!(matches!(me.state(), TaskState::Running(_)));
        assert_eq!(outline(me.trace()), frames);
        // The task's own call path ends in this function.
        assert_eq!(outline(&Trace::here().unwrap()), here);
        // A request that the task itself would have to answer is refused instead of a deadlock.
        let answer = current()
            .unwrap()
            .backtrace_timeout(std::time::Duration::MAX);
        assert!(matches!(answer, Err(tasktrace::TraceError::InsideOwnPoll)));
    }

    #[test]
    fn a_task_can_trace_itself_in_its_own_poll() {
        futures::executor::block_on(outer());
    }
}

/// Moves a future below another parent, which async-backtrace does not follow.
mod another_parent {
    use super::*;

    #[traced]
    async fn moved() {
        wait_for_ever().await;
    }

    #[traced]
    async fn first(future: &mut (impl Future<Output = ()> + Unpin)) {
        let polled =
            std::future::poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx)));
        assert!(polled.await.is_pending());
    }

    #[traced]
    async fn second(future: impl Future<Output = ()>) {
        future.await;
    }

    #[test]
    fn a_frame_follows_its_future_to_another_parent() {
        let mut task = DrivenTask::new(async {
            let mut future = Box::pin(moved());
            first(&mut future).await;
            second(future).await;
        });
        task.suspend();
        assert!(
            task.snapshot().ends_with("(second(moved))"),
            "{}",
            task.snapshot()
        );
    }
}
