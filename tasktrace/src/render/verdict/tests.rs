//! Tests the verdicts about made-up hangs.

mod blocked_and_spinning_tasks_come_first;
mod each_stage_of_a_test_has_a_verdict;
mod functions_and_resources_have_short_names;
mod stuck_tasks_are_explained;
mod the_likeliest_wait_is_named;

use crate::dump::fixture::{dump, id, secs, task};
use crate::dump::{Hang, HangTrigger, TaskDump, TestStage};
use crate::trace::{Frame, Wait};

/// Returns the verdict about a test that hangs in its body, which is task 1.
fn verdict<const N: usize>(tasks: [TaskDump; N]) -> String {
    verdict_at(tasks, TestStage::Body(id(1)))
}

/// Returns the verdict about a test that hangs at a stage.
fn verdict_at<const N: usize>(tasks: [TaskDump; N], stage: TestStage) -> String {
    let hang = Hang {
        name: "app::test".to_owned(),
        file: "src/main.rs",
        line: 7,
        after: secs(30.0),
        trigger: HangTrigger::Timeout,
        stage,
        thread: 1,
        dump: dump(tasks),
        unknown: 0,
    };
    hang.verdict()
}

/// Returns the task of the body.
fn body() -> TaskDump {
    task(1, "app::test").suspended_for(29.0)
}

/// Returns the frame of a function that waits for a resource.
fn waiting(function: &str, line: u32, resource: &str) -> Frame {
    let resource = Frame::sample(resource, 99).into_resource();
    Frame::sample(function, line).with_children([resource])
}

/// Returns the frame of a function that is running, with the call in which it is.
fn running(function: &str, line: u32, resource: Option<&str>) -> Frame {
    match resource {
        Some(name) => {
            let resource = Frame::sample(name, 99)
                .into_resource()
                .waiting(Wait::Running);
            Frame::sample(function, line).with_children([resource])
        }
        None => Frame::sample(function, line).waiting(Wait::Running),
    }
}
