//! Tests that running tasks do not count as waiting.

use std::sync::mpsc;
use std::time::Duration;

use crate::{number, runtime, stacks};

#[tasktrace::traced]
async fn blocks(until: mpsc::Receiver<()>) {
    // The task is suspended once, so that a snapshot of its frames exists.
    tokio::task::yield_now().await;
    let _ = until.recv();
}

#[test]
fn a_task_that_blocks_its_thread_is_running_and_has_not_waited() {
    let _alone = tasktrace_tests::sampled::alone();
    let runtime = runtime();
    let (release, until) = mpsc::channel();
    let (future, handle) = tasktrace::traced(blocks(until));
    runtime.spawn(future);
    while handle.polls() < 2 || !matches!(handle.state(), tasktrace::TaskState::Running(_)) {
        std::thread::yield_now();
    }
    let profile = tasktrace::profile()
        .lasting(Duration::from_millis(200))
        .run_blocking();
    drop(release);
    let stacks = stacks(&profile, "running::blocks");
    let [stack] = &stacks[..] else {
        panic!("{profile}");
    };
    assert_eq!(stack["state"], "running");
    assert_eq!(number(stack, "waited_ns"), 0);
    assert_eq!(number(stack, "seen"), profile.samples());
}
