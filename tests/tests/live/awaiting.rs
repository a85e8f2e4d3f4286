//! Tests tasks that are polled by other tasks.

use tasktrace::traced;

use crate::support::{DrivenTask, outline, wait_for_ever};

#[traced]
async fn work() {
    wait_for_ever().await;
}

#[test]
fn a_task_in_a_task_is_a_frame_of_it() {
    let (inner, handle) = tasktrace::traced(work());
    let mut outer = DrivenTask::new(async {
        inner.await;
    });
    outer.suspend();
    assert!(outer.snapshot().contains("work"), "{}", outer.snapshot());
    assert_eq!(outline(&handle.snapshot()), "work");
    let trace = outer.capture();
    let text = trace.to_string();
    assert_eq!(text.matches("awaiting::work at ").count(), 1, "{text}");
    drop(outer);
    assert!(handle.is_finished());
}
