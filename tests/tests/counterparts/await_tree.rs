//! Contains counterparts of the documentation, examples and tests of await-tree 0.3.1, and of its newer attribute.

use std::time::Duration;

use tasktrace::{
    Frame, TaskBuilder, Trace, TraceHandle, TracedExt, Wait, current, snapshot, traced,
};
use tokio::sync::oneshot;

use crate::support::{DrivenTask, frames, let_time_pass, outline, wait_for_ever};
use crate::{outlines, suspended, tasks_of};

/// Returns the frame with the label `name`, or of the function `name`.
fn find<'a>(trace: &'a Trace, name: &str) -> Option<&'a Frame> {
    let is_it = |frame: &&Frame| {
        frame.label() == Some(name) || frame.name().ends_with(&format!("::{name}"))
    };
    frames(trace).into_iter().find(is_it)
}

/// The README, and `examples/basic.rs`: calls with names, some of which contain values.
mod basic {
    use super::*;

    async fn both() {
        futures::join!(left(3).traced("left"), right(2).traced("right"));
    }

    async fn left(number: i32) {
        right(number).traced("right in left").await;
    }

    async fn right(number: i32) {
        wait_for_ever()
            .traced(format!("waiting in right {number}"))
            .await;
    }

    #[tokio::test]
    async fn named_calls_are_shown_with_their_values() {
        let task = TaskBuilder::new().name("both").spawn(both());
        let handle = task.trace_handle();
        suspended(handle).await;
        let tree = handle.snapshot();
        assert_eq!(
            outline(&tree),
            "both(left(right in left(waiting in right 3)) right(waiting in right 2))"
        );
        let spans = [
            "left",
            "right in left",
            "waiting in right 3",
            "right",
            "waiting in right 2",
        ];
        for span in spans {
            let age = find(&tree, span).unwrap().age();
            assert!(
                age.is_some_and(|age| age <= handle.age()),
                "{span}: {age:?}"
            );
        }
        task.abort();
    }
}

/// `#[instrument]`: names with values, at the function instead of the call.
mod instrument {
    use super::*;

    #[traced("fetch {id}")]
    async fn fetch(id: u32) {
        wait_for_ever().await;
        let _ = id;
    }

    #[traced("process {name}, {}", value * 2)]
    async fn process(name: &str, value: i32) {
        wait_for_ever().await;
        let _ = (name, value);
    }

    #[traced]
    async fn unnamed() {
        futures::join!(fetch(1), process("test", 21));
    }

    #[test]
    fn functions_are_shown_with_the_values_of_their_arguments() {
        let mut task = DrivenTask::new(unnamed());
        task.suspend();
        assert!(
            task.snapshot()
                .ends_with("unnamed(fetch 1 process test, 42)"),
            "{}",
            task.snapshot()
        );
    }

    #[traced("public")]
    pub(super) async fn public(number: i32, text: String) -> i32 {
        number + i32::try_from(text.len()).unwrap()
    }

    #[test]
    fn a_labelled_function_is_called_as_before() {
        assert_eq!(futures::executor::block_on(public(42, "test".into())), 46);
    }
}

/// `examples/detach.rs`: a task holds a future without polling it for a while.
mod detach {
    use super::*;

    #[traced]
    async fn work(stop: oneshot::Receiver<()>, go_on: oneshot::Receiver<()>) {
        let mut fut = Box::pin(wait_for_ever().traced("fut"));
        let stopped = async {
            tokio::select! {
                biased;
                stopped = stop.traced("stop") => stopped.is_ok(),
                () = &mut fut => false,
            }
        };
        assert!(stopped.traced("select").await);
        go_on.traced("rx").await.unwrap();
        fut.await;
    }

    #[test]
    fn a_held_future_is_shown_as_not_polled_until_it_is_polled_again() {
        let (stop, stopped) = oneshot::channel();
        let (go_on, told) = oneshot::channel();
        let mut task = DrivenTask::new(work(stopped, told));
        let handle = task.handle.clone();
        task.suspend();
        assert!(
            task.snapshot().ends_with("work(select(fut stop))"),
            "{}",
            task.snapshot()
        );

        stop.send(()).unwrap();
        let_time_pass();
        task.suspend();
        let tree = handle.snapshot();
        let text = outline(&tree);
        // The held future is shown in the task, and not as a tree of its own.
        assert!(text.contains("fut!") && text.contains("rx"), "{text}");
        assert!(!text.contains("select"), "{text}");
        let held = find(&tree, "fut").unwrap();
        assert_eq!(held.wait(), Some(Wait::NotPolled));
        assert!(held.not_polled_for() >= Some(Duration::from_millis(40)));
        // The held future keeps its age.
        assert!(held.age() > find(&tree, "rx").unwrap().age());
        assert!(tree.to_string().contains("held, but not polled"), "{tree}");
        let age = held.age();

        go_on.send(()).unwrap();
        task.suspend();
        let tree = handle.snapshot();
        assert!(outline(&tree).ends_with("work(fut)"), "{tree}");
        assert!(find(&tree, "fut").unwrap().age() >= age);
    }
}

/// `examples/global.rs`: all tasks, from anywhere.
mod global {
    use super::*;

    async fn waits() {
        wait_for_ever().traced("pending").await;
    }

    async fn actor() {
        // This task has no label of its own.
        tasktrace::spawn(waits());
        waits().traced("waits").await;
    }

    async fn print() -> Vec<(Option<String>, String)> {
        let actor = |task: &TraceHandle| task.label() == Some("actor 42");
        let actor = tasktrace::tasks().find(actor).unwrap();
        suspended(&actor).await;
        let child = |task: &TraceHandle| task.parent() == Some(actor.id());
        suspended(&tasktrace::tasks().find(child).unwrap()).await;
        let dump = snapshot();
        let tasks = tasks_of(&dump, module_path!());
        let told = tasks
            .iter()
            .map(|task| (task.label().map(str::to_owned), outline(task.trace())));
        told.collect()
    }

    #[tokio::test]
    async fn all_tasks_are_found_with_labels_and_parents() {
        let actor = TaskBuilder::new().name("actor 42").spawn(actor());
        let print = TaskBuilder::new().name("print").spawn(print());
        let told = print.await.unwrap();
        let told: Vec<_> = told
            .iter()
            .map(|(label, tree)| (label.as_deref(), &**tree))
            .collect();
        assert_eq!(
            told,
            [
                (Some("actor 42"), "actor 42(waits(pending))"),
                (Some("print"), "print"),
                (None, "waits(pending)"),
            ]
        );
        actor.abort();
    }
}

/// `examples/multiple.rs`: actors that are found by a key.
mod multiple {
    use super::*;

    async fn work(number: i32) {
        wait_for_ever()
            .traced("pending")
            .traced(format!("actor work {number}"))
            .await;
    }

    #[tokio::test]
    async fn actors_are_found_by_handle_or_label() {
        let actors: Vec<_> = (0..3)
            .map(|number| {
                TaskBuilder::new()
                    .name(format!("actor {number}"))
                    .spawn(work(number))
            })
            .collect();
        for actor in &actors {
            suspended(actor.trace_handle()).await;
        }
        for (number, actor) in actors.iter().enumerate() {
            let expected = format!("actor {number}(actor work {number}(pending))");
            assert_eq!(outline(&actor.trace_handle().snapshot()), expected);
            // Code without a handle finds the task by its label.
            let label = format!("actor {number}");
            let found = tasktrace::tasks().find(|task| task.label() == Some(&label));
            assert_eq!(found.unwrap().id(), actor.trace_handle().id());
        }
        // The dump contains all three actors.
        assert_eq!(outlines(&snapshot(), module_path!()).len(), 3);
        for actor in actors {
            actor.abort();
        }
    }
}

/// `examples/serde.rs`: a tree as JSON.
mod serde {
    use super::*;

    #[traced("work {number}")]
    async fn work(number: u32) {
        futures::join!(
            wait_for_ever().traced("one"),
            wait_for_ever().traced("other")
        );
        let _ = number;
    }

    #[test]
    fn a_tree_is_serialised_with_labels_and_ages() {
        let mut task = DrivenTask::new(work(1));
        task.suspend();
        let tree = serde_json::to_value(task.handle.snapshot()).unwrap();
        let text = serde_json::to_string_pretty(&tree).unwrap();
        for label in ["work 1", "one", "other"] {
            assert!(text.contains(&format!(r#""label": "{label}""#)), "{text}");
        }
        assert!(text.contains("age"), "{text}");
    }
}

/// `examples/spawn.rs`, and the test of `spawn`: tasks spawn tasks and await them.
mod spawn {
    use super::*;

    async fn root() {
        let child = TaskBuilder::new().name("child").spawn(child());
        child.traced("waits for the child").await.unwrap();
    }

    async fn child() {
        let grandchild = TaskBuilder::new().name("grandchild").spawn(grandchild());
        grandchild.traced("waits for the grandchild").await.unwrap();
    }

    async fn grandchild() {
        wait_for_ever().await;
    }

    #[tokio::test]
    async fn spawned_tasks_know_their_parents_and_the_tasks_they_await() {
        let root = TaskBuilder::new().name("root").spawn(root());
        while tasks_of(&snapshot(), module_path!()).len() < 3 {
            tokio::task::yield_now().await;
        }
        for task in tasktrace::tasks().filter(|task| task.name().contains(module_path!())) {
            suspended(&task).await;
        }
        let dump = snapshot();
        let tasks = tasks_of(&dump, module_path!());
        let labels: Vec<_> = tasks.iter().filter_map(|task| task.label()).collect();
        assert_eq!(labels, ["root", "child", "grandchild"]);
        // The parents and the awaited tasks are known without labels.
        let ids: Vec<_> = tasks.iter().map(|task| task.id()).collect();
        let parents: Vec<_> = tasks.iter().filter_map(|task| task.parent()).collect();
        assert_eq!(parents, ids[..2]);
        let awaits: Vec<_> = tasks
            .iter()
            .flat_map(|task| task.awaits().to_vec())
            .collect();
        assert_eq!(awaits, ids[1..]);
        let tree = outline(tasks[0].trace());
        assert!(tree.starts_with("root(waits for the child"), "{tree}");
        root.abort();
    }
}

/// `current_tree()`: the tree of the calling task.
mod current_tree {
    use super::*;

    async fn asks() -> (String, String) {
        let tree = current().unwrap().snapshot();
        let here = Trace::here().unwrap();
        (outline(&tree), outline(&here))
    }

    #[tokio::test]
    async fn the_current_task_can_read_its_own_tree() {
        assert!(current().is_none());
        let asks = TaskBuilder::new().name("root").spawn(async {
            let (waits, asked) = futures::join!(
                futures::future::maybe_done(std::future::ready(())),
                asks().traced("asks"),
            );
            let () = waits;
            asked
        });
        let (tree, here) = asks.await.unwrap();
        // The tree contains the caller's frame, although it has not been suspended yet.
        assert_eq!(tree, "root(asks)");
        assert!(here.starts_with("root(") && here.contains("asks"), "{here}");
    }
}

/// `src/tests/functionality.rs`: futures end, are cancelled, and leave nothing behind.
mod functionality {
    use super::*;

    fn step(name: &'static str) -> (oneshot::Sender<()>, impl Future<Output = ()>) {
        let (end, ended) = oneshot::channel();
        (end, async { ended.await.unwrap() }.traced(name))
    }

    #[test]
    fn completed_and_cancelled_futures_leave_the_tree() {
        let (end_first, first) = step("first");
        let (end_second, second) = step("second");
        let (end_winner, winner) = step("winner");
        let (_never, loser) = step("loser");
        let (end_last, last) = step("last");
        let mut task = DrivenTask::new(async {
            let all = async {
                futures::join!(first, second.traced("nested"));
                futures::future::select(Box::pin(winner), Box::pin(loser)).await;
                last.await;
                wait_for_ever().await;
            };
            all.traced("all").await;
        });
        let mut trees = Vec::new();
        let mut record = |task: &mut DrivenTask<_>| {
            task.suspend();
            let tree = task.snapshot();
            trees.push(tree.split_once('(').unwrap().1.to_owned());
        };
        record(&mut task);
        end_first.send(()).unwrap();
        record(&mut task);
        end_second.send(()).unwrap();
        record(&mut task);
        end_winner.send(()).unwrap();
        record(&mut task);
        end_last.send(()).unwrap();
        record(&mut task);
        assert_eq!(
            trees,
            [
                "all(first nested(second)))",
                "all(nested(second)))",
                "all(loser winner))",
                "all(last))",
                "all)",
            ]
        );
    }

    #[test]
    fn the_current_item_of_a_stream_is_shown() {
        use futures::StreamExt;

        let (end_first, first) = step("first");
        let (_never, second) = step("second");
        let mut task = DrivenTask::new(async {
            let mut stream = Box::pin(futures::stream::iter([first]).then(|step| step));
            stream.next().traced("next 0").await;
            let mut stream = Box::pin(futures::stream::iter([second]).then(|step| step));
            stream.next().traced("next 1").await;
        });
        task.suspend();
        assert!(
            task.snapshot().ends_with("(next 0(first))"),
            "{}",
            task.snapshot()
        );
        end_first.send(()).unwrap();
        task.suspend();
        assert!(
            task.snapshot().ends_with("(next 1(second))"),
            "{}",
            task.snapshot()
        );
    }
}
