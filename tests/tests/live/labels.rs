//! Tests labels with values.

use tasktrace::{TracedExt, current, traced};

use crate::dumping::while_dumping;
use crate::support::{DrivenTask, outline, wait_for_ever};

#[traced("conn {peer} req={}", id + 1)]
async fn serve(peer: &str, id: u32) {
    wait_for_ever().await;
    let _ = (peer, id);
}

#[test]
fn frames_have_labels() {
    let mut task = DrivenTask::new(async { futures::join!(serve("alice", 6), serve("bob", 7)) });
    task.suspend();
    let labels = "conn alice req=7 conn bob req=8";
    assert!(
        task.snapshot().ends_with(&format!("({labels})")),
        "{}",
        task.snapshot()
    );
    let trace = task.capture();
    assert!(trace.contains("conn bob req=8"), "{trace}");
    assert!(
        trace
            .to_string()
            .contains(r#"serve "conn alice req=7" at "#),
        "{trace}"
    );
    assert!(trace.contains("serve"));
    // In each of these polls the frames are suspended and resumed with the same labels.
    for _ in 0..3 {
        task.suspend();
        assert!(task.snapshot().contains(labels));
    }
}

#[test]
fn a_task_has_the_label_of_its_function() {
    #[traced("job {id}")]
    async fn job(id: u32) -> Option<String> {
        let _ = id;
        current().unwrap().label().map(str::to_owned)
    }
    assert_eq!(
        futures::executor::block_on(job(7)).as_deref(),
        Some("job 7")
    );
}

#[test]
fn any_future_can_have_a_label() {
    let mut task = DrivenTask::new(async {
        let block = async { wait_for_ever().await };
        futures::join!(
            wait_for_ever().traced("one"),
            block.traced(format!("number {}", 2)),
        )
    });
    task.suspend();
    let snapshot = task.snapshot();
    assert!(snapshot.ends_with("(one number 2)"), "{snapshot}");
    let trace = task.capture();
    assert!(
        trace.contains("one") && trace.contains("number 2"),
        "{trace}"
    );

    let outside = futures::executor::block_on(
        async { current().unwrap().label().map(str::to_owned) }.traced("outside"),
    );
    assert_eq!(outside.as_deref(), Some("outside"));
}

#[test]
fn a_labelled_task_in_a_task_is_shown() {
    let mut outer = DrivenTask::new(async {
        let (inner, _) = tasktrace::traced(serve("carol", 1));
        inner.await;
    });
    outer.suspend();
    let snapshot = outline(&outer.handle.snapshot());
    assert!(snapshot.contains("serve"), "{snapshot}");
}

#[test]
fn a_task_and_its_function_may_have_different_labels() {
    let future = tasktrace::TracedExt::traced(serve("dave", 1), "the task");
    let mut future = Box::pin(future);
    assert!(crate::support::poll(future.as_mut()).is_pending());
    let task = tasktrace::tasks().find(|task| task.label() == Some("the task"));
    let snapshot = outline(&task.unwrap().snapshot());
    assert_eq!(snapshot, "the task(conn dave req=2)");
}

/// A future that is spawned with a label has one frame, and the label belongs to the task.
#[test]
fn a_spawned_future_with_a_label_is_one_frame() {
    let _alone = while_dumping();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let plain = tasktrace::spawn(wait_for_ever().traced("shard 7"));
        let attributed = tasktrace::spawn(serve("eve", 1));
        tokio::task::yield_now().await;
        let dump = tasktrace::dump().await;
        let text = dump.to_string();
        for (task, label) in [(plain, "shard 7"), (attributed, "conn eve req=2")] {
            let id = task.trace_handle().id();
            let frames = dump.get(id).unwrap().trace().frames();
            assert_eq!(frames.len(), 1, "{text}");
            assert_eq!(frames[0].label(), Some(label), "{text}");
            let is_same = |child: &tasktrace::Frame| child.name() == frames[0].name();
            assert!(!frames[0].children().iter().any(is_same), "{text}");
            let header = text
                .lines()
                .find(|line| line.starts_with(&format!("task {id} ")));
            assert!(
                header.unwrap().contains(&format!("{label:?}, suspended")),
                "{text}"
            );
        }
    });
}
